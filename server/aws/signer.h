// Signs requests with the credentials of one identity, and learns from a service that refuses them.
#pragma once

#include <memory>
#include <string_view>

#include "server/aws/credentials.h"
#include "server/aws/sigv4.h"

namespace millrace {

// Loop's thread. Backends with one identity share a signer, so that they share its credentials.
class AwsSigner {
 public:
  AwsSigner(AwsSources sources, std::string profile)
      : loop_(sources.loop), pool_(sources.pool), credentials_(std::move(sources), std::move(profile)) {}

  struct Signed {
    HttpRequest request;        // with the headers of its signature
    AwsCredentials::Keys keys;  // that signed it
  };
  // Resumes with the signed request. PROVIDER_CREDENTIALS if no credentials are found; INVALID_FIELD if the URL is not
  // valid. Each attempt is signed for itself, since a signature is valid for about five minutes.
  Task<StatusOr<Signed>> Sign(HttpRequest request, AwsScope scope);

  // Takes the refusal of a signed request (HTTP 401 or 403), with the header Date of the response. Returns true if the
  // next signature will differ, so that another attempt may succeed: the clocks differed by more than a minute, which
  // the signer corrects from now on, or the credentials can be fetched again.
  bool Learn(const AwsCredentials::Keys& refused, std::string_view date);

  // Returns true if credentials have been found before: then a failure to sign is likely to pass.
  bool has_signed() const { return credentials_.has_found(); }

 private:
  Loop& loop_;
  Pool& pool_;
  AwsCredentials credentials_;
  Duration clock_offset_{};  // of the service's clock, ahead of ours
};

}  // namespace millrace
