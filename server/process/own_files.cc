#include "server/process/own_files.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <filesystem>

#include "server/otlp/settings.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr const char* kVariablesOfFiles[] = {
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
};

// Returns whether a field of the configuration names a file: it is called `file`, or its name ends so (`profile_file`).
bool NamesFile(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field.is_repeated() &&
         (field.name() == "file" || field.name().ends_with("_file"));
}

// Adds every file that a message names, at any depth.
void AddNamed(const Message& message, const std::string& config_dir, std::vector<ProtectedFile>& files) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (NamesFile(*field)) {
      const std::string path = (fs::path(config_dir) / reflection.GetString(message, field)).string();
      files.push_back({.path = path, .what = "a file of the configuration"});
    }
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      AddNamed(reflection.GetMessage(message, field), config_dir, files);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      AddNamed(reflection.GetRepeatedMessage(message, field, i), config_dir, files);
    }
  }
}

}  // namespace

std::vector<ProtectedFile> OwnFiles(const v1::ServerConfig& config, const std::string& config_path,
                                    const std::string& config_dir,
                                    const std::function<std::optional<std::string>(const std::string&)>& variable) {
  std::vector<ProtectedFile> files = {
      {.path = config.data_dir(), .what = "the data directory", .is_directory = true},
      {.path = "millrace.yaml", .what = "the configuration"},
  };
  if (!config_path.empty()) files.push_back({.path = config_path, .what = "the configuration"});
  AddNamed(config, config_dir, files);
  for (const char* name : kVariablesOfFiles) {
    if (const auto path = variable(name); path && !path->empty()) {
      files.push_back({.path = *path, .what = std::string("the file of ") + name});
    }
  }
  if (const auto home = variable("HOME"); home && !home->empty()) {
    for (const char* name : {"credentials", "config"}) {
      files.push_back({.path = *home + "/.aws/" + name, .what = "a file with AWS credentials"});
    }
  }
  // A command without a server finds its store here, whatever this one's is.
  files.push_back({.path = ".millrace", .what = "the data directory", .is_directory = true});
  return files;
}

std::vector<ProtectedFile> OwnFiles(const v1::ServerConfig& config, const std::string& config_path,
                                    const std::string& config_dir) {
  return OwnFiles(config, config_path, config_dir, otlp::ProcessEnvironment);
}

}  // namespace millrace
