// The project's .proto files with their comments, which generated code leaves out: a serialized FileDescriptorSet, put
// in place by the build (embed.cmake).
#pragma once

#include <cstddef>

namespace millrace {

extern const unsigned char kDescriptorSet[];
extern const size_t kDescriptorSetSize;

}  // namespace millrace
