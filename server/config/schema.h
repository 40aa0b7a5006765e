// JSON Schemas (draft 7) of the YAML files, made from the descriptors that the reader walks: for editors, and as the
// reference of every key. They cover short forms, sizes, durations and parameters, but not the checks of CheckPipeline.
#pragma once

#include <string>

namespace google::protobuf {
class FieldDescriptor;
}

namespace millrace {

// Return a schema as indented JSON text.
std::string PipelineSchema();
std::string ServerConfigSchema();

// Returns the comment above a field in its .proto file, as one line; empty if it has none.
std::string CommentOf(const google::protobuf::FieldDescriptor& field);

}  // namespace millrace
