// Adds a backend's secret to its requests, or signs them.
#pragma once

#include <string_view>
#include <variant>

#include "backends/sdk/backend.h"
#include "server/aws/credentials.h"
#include "server/base/task.h"
#include "server/http/client.h"
#include "server/llm/target.h"

namespace millrace {

// A request that may be sent.
struct Authorized {
  HttpRequest request;
  AwsCredentials::Keys aws_keys;  // that signed it; null: it is not signed
};

// Adds to `request` what `auth` asks for, with the secret or the AWS credentials of `entry`, if the request goes to the
// origin that they are for. Resumes with the failure of a request that can't be authorized, which must not be sent.
Task<std::variant<Authorized, backend::Failure>> Authorize(const BackendEntry& entry, backend::Auth auth,
                                                           HttpRequest request);

// Takes the failure of a signed request, with the header Date of its response. Removes the session token from its
// message, because AWS quotes a request whose signature is wrong. A refusal of the credentials becomes a failure that
// is retried if the next attempt will be signed in another way (AwsSigner::Learn).
void TakeRefusal(const BackendEntry& entry, const AwsCredentials::Keys& keys, std::string_view date,
                 backend::Failure& failure);

}  // namespace millrace
