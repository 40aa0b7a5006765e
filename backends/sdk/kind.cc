#include "backends/sdk/kind.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <re2/re2.h>

#include <cstdlib>
#include <utility>

namespace millrace::backend {
namespace {

const google::protobuf::OneofDescriptor* KindField() {
  return v1::BackendConfig::descriptor()->FindOneofByName("kind");
}

bool IsField(const std::string& name) {
  const google::protobuf::FieldDescriptor* field = v1::BackendConfig::descriptor()->FindFieldByName(name);
  return field != nullptr && field->containing_oneof() == KindField();
}

}  // namespace

std::string KindNameOf(const v1::BackendConfig& config) {
  const google::protobuf::FieldDescriptor* field = config.GetReflection()->GetOneofFieldDescriptor(config, KindField());
  return field == nullptr ? "" : field->name();
}

void BackendKinds::Add(BackendKind kind) {
  std::string name = kind.name;
  if (!kind.make || !IsField(name) || !kinds_.emplace(std::move(name), std::move(kind)).second) std::abort();
}

const BackendKind* BackendKinds::Of(const v1::BackendConfig& config) const {
  const auto found = kinds_.find(KindNameOf(config));
  return found == kinds_.end() ? nullptr : &found->second;
}

void CheckSecret(const v1::Secret& secret, const std::string& path, std::vector<FieldViolation>& violations) {
  static const re2::RE2 name("[A-Za-z_][A-Za-z0-9_]*");
  if (secret.has_env() && !re2::RE2::FullMatch(secret.env(), name)) {
    violations.push_back({path + ".env", "must be the name of an environment variable"});
  }
  if (secret.has_file() && secret.file().empty()) violations.push_back({path + ".file", "must not be empty"});
}

}  // namespace millrace::backend
