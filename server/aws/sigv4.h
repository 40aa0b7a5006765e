// AWS Signature Version 4 of an HTTP request: a pure function of the request, the keys and the time. Encodes the path
// twice, as every AWS service but S3 requires.
#pragma once

#include <cstdint>
#include <string>

#include "server/base/secret.h"
#include "server/base/status.h"
#include "server/http/client.h"

namespace millrace {

// Keys of an AWS identity. The session token is empty for long-term keys.
struct AwsKeys {
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;
};

// Place in which a signature is valid.
struct AwsScope {
  std::string region;   // `us-east-1`: the region of the endpoint, which may differ from the caller's
  std::string service;  // `bedrock`
};

// A signature, and the two texts that it was made of. A service that refuses a signature shows the texts that it
// expected, so a difference is found by comparing them. Both may contain the session token, so do not log them.
struct AwsSignature {
  HttpHeaders headers;  // to add to the request: X-Amz-Date, X-Amz-Security-Token if there is a token, Authorization
  std::string canonical_request;
  std::string string_to_sign;
};

// Signs a request as it is: its URL is sent as given (escaped once, not normalised), and no header that it has may be
// changed afterwards, except those that are never signed (User-Agent, tracing and hop-by-hop headers). Host is signed
// and must not be in the headers. `wall_micros` is the time since 1970 by the service's clock; a service accepts about
// five minutes of difference. Hashes the body, so sign a long one on the pool. INVALID_FIELD if
// the URL is not valid.
StatusOr<AwsSignature> SignAws(const HttpRequest& request, const AwsKeys& keys, const AwsScope& scope,
                               int64_t wall_micros);

// Returns the text with every byte escaped except letters, digits and `-._~`: a label of an AWS URL, such as a model.
std::string AwsUriEscaped(std::string_view text);

}  // namespace millrace
