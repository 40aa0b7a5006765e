// A kind of backend as a value, and the registry of all kinds. The configuration, the coordinator and the call layer
// ask the kind; none of them knows one by name. A new kind is a folder, a line in backends/builtin.cc and a field of
// BackendConfig.kind with its message.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"
#include "server/base/status.h"

namespace millrace::backend {

// Reads a YAML file that a configuration names into `message`, checks its rules and sets its defaults. The path is
// relative to the configuration's file. An error says what is wrong, with its place.
using YamlFileReader = std::function<Status(const std::string& path, google::protobuf::Message& message)>;

// The secret of a configured backend.
struct SecretUse {
  const v1::Secret* secret = nullptr;  // null: none is sent
  std::string url;                     // the secret is sent only to the origin (scheme, host and port) of this URL
};

// The AWS credentials of a configured backend, with which the server signs its requests (SigV4Auth).
struct AwsUse {
  std::string profile;  // in the shared AWS files; empty: the first credentials that are found
  std::string url;      // signed requests are sent only to the origin of this URL
};

// The certificates that a configured backend trusts instead of those of the machine.
struct TrustUse {
  std::string ca_file;  // path of a PEM file, relative to the configuration's file
  std::string url;      // for RPCs to the origin of this URL
};

// A kind of backend. Functions that are null have nothing to do.
struct BackendKind {
  // Name of its field in BackendConfig.kind.
  std::string name;
  // Makes a backend. REQUIRES: the configuration passed `check` and has its defaults.
  std::function<std::unique_ptr<Backend>(const v1::BackendConfig& config)> make;
  // Adds violations of the kind's field beyond the rules that its message declares; their paths begin below the field,
  // and an empty path is the field itself. May put contents of files that are named into the configuration.
  std::function<void(v1::BackendConfig& config, const YamlFileReader& read_file,
                     std::vector<FieldViolation>& violations)>
      check = nullptr;
  // Returns its secret and the place that the secret is for.
  std::function<SecretUse(const v1::BackendConfig& config)> secret = nullptr;
  // Returns its AWS credentials; nullopt if this configuration signs nothing.
  std::function<std::optional<AwsUse>(const v1::BackendConfig& config)> aws = nullptr;
  // Returns the certificates that it trusts; nullopt: those of the machine.
  std::function<std::optional<TrustUse>(const v1::BackendConfig& config)> trust = nullptr;
};

// Returns the name of the field of BackendConfig.kind that is set; empty if none is.
std::string KindNameOf(const v1::BackendConfig& config);

// The kinds that a server knows.
class BackendKinds {
 public:
  // Adds a kind. Aborts if there is one of this name, it cannot make a backend, or BackendConfig.kind has no such
  // field.
  void Add(BackendKind kind);

  // Returns the kind of a configured backend, by KindNameOf; null if none of this name was added.
  const BackendKind* Of(const v1::BackendConfig& config) const;

 private:
  std::map<std::string, BackendKind, std::less<>> kinds_;
};

// Adds a violation if a secret's source cannot be one: `env` must be the name of a variable, `file` must not be empty.
// The message does not show the value, because it may be the secret itself, written into the wrong place.
void CheckSecret(const v1::Secret& secret, const std::string& path, std::vector<FieldViolation>& violations);

}  // namespace millrace::backend
