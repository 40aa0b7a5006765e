// Opens directories so that no link is followed on the way: what is checked by its path is what is opened, even if a
// directory is exchanged for a link in between.
#pragma once

#include <string>

#include "server/base/fd.h"

namespace millrace {

// How the way is walked. kKernel: by openat2 with RESOLVE_BENEATH, which Linux has since 5.6; falls back to kSteps if
// the kernel, or a filter of system calls, refuses it. kSteps: by one openat with O_NOFOLLOW for each part.
enum class Walk { kKernel, kSteps };

// Opens a directory beneath another as a place (O_PATH). `relative` has no `..`; empty or `.` is `base` itself. Not
// valid, with errno, if it can't be opened: ELOOP or ENOTDIR if a part of the way is a link.
UniqueFd OpenDirectoryBeneath(int base, const std::string& relative, Walk walk = Walk::kKernel);

// Opens a directory in this way from the root of the file system; `path` is absolute, without `..` and links.
UniqueFd OpenDirectoryAt(const std::string& path, Walk walk = Walk::kKernel);

}  // namespace millrace
