// Serialized FileDescriptorSet of the project's .proto files with their comments, which generated code leaves out. The
// build embeds it (embed.cmake).
#pragma once

#include <cstddef>

namespace millrace {

extern const unsigned char kDescriptorSet[];
extern const size_t kDescriptorSetSize;

}  // namespace millrace
