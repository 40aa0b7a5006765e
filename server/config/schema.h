// JSON Schemas (draft 7) of the YAML files, from the same descriptors that the reader walks: for editors, and as the
// reference of every key. Short forms, sizes, durations and parameters are in it; what only CheckPipeline knows is not.
#pragma once

#include <string>

namespace google::protobuf {
class FieldDescriptor;
}

namespace millrace {

// As JSON text, indented.
std::string PipelineSchema();
std::string ServerConfigSchema();

// The comment that stands above a field in its .proto file, as one line; empty where there is none.
std::string CommentOf(const google::protobuf::FieldDescriptor& field);

}  // namespace millrace
