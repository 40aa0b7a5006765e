// The kind `bedrock`: checks of its configuration, which the environment completes as it does for AWS's own tools.
#include <re2/re2.h>

#include <fmt/format.h>

#include <utility>

#include "backends/bedrock/bedrock.h"
#include "backends/bedrock/endpoint.h"
#include "server/http/guard.h"

namespace millrace::backend {
namespace {

constexpr char kTokenVariable[] = "AWS_BEARER_TOKEN_BEDROCK";

void CheckRegion(const EnvironmentReader& variable, v1::BedrockBackend& bedrock,
                 std::vector<FieldViolation>& violations) {
  const std::string of_endpoint = bedrock::RegionIn(bedrock.endpoint());
  std::string region = bedrock.region();
  for (const std::string& other : {of_endpoint, variable("AWS_REGION"), variable("AWS_DEFAULT_REGION")}) {
    if (region.empty()) region = other;
  }
  if (region.empty()) {
    violations.push_back({"region",
                          "is not set, and neither is the environment variable AWS_REGION: write the region of the "
                          "endpoint, such as `us-east-1`"});
    return;
  }
  // A signature is valid in one region only.
  if (!of_endpoint.empty() && of_endpoint != region) {
    violations.push_back({"region", fmt::format("is `{}`, but the endpoint is in `{}`", Excerpt(region), of_endpoint)});
  }
  static const re2::RE2 name("[a-z]{2,4}(-[a-z]+)+-[0-9]+");
  if (!re2::RE2::FullMatch(region, name)) {
    violations.push_back({"region", fmt::format("`{}` is not a region such as `us-east-1`", Excerpt(region))});
  }
  bedrock.set_region(region);
}

void CheckBedrock(const EnvironmentReader& variable, v1::BedrockBackend& bedrock,
                  std::vector<FieldViolation>& violations) {
  if (bedrock.has_api_key() && !bedrock.profile().empty()) {
    violations.push_back({"profile", "`profile` and `api_key` are both given; a request carries a key or is signed"});
  }
  if (bedrock.has_api_key()) {
    CheckSecret(bedrock.api_key(), "api_key", violations);
  } else if (bedrock.profile().empty() && !variable(kTokenVariable).empty()) {
    bedrock.mutable_api_key()->set_env(kTokenVariable);
  }
  for (const char* name : {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"}) {
    if (bedrock.endpoint().empty()) bedrock.set_endpoint(variable(name));
  }
  if (!bedrock.endpoint().empty()) {
    const Status status = CheckBackendUrl(bedrock.endpoint());
    if (!status.ok()) violations.push_back({"endpoint", std::string(MessageOf(status))});
  }
  CheckRegion(variable, bedrock, violations);
}

}  // namespace

BackendKind BedrockKind(EnvironmentReader variable) {
  BackendKind kind;
  kind.name = "bedrock";
  kind.make = [](const v1::BackendConfig& config) { return MakeBedrockBackend(config.bedrock()); };
  kind.check = [variable = std::move(variable)](v1::BackendConfig& config, const YamlFileReader&,
                                                std::vector<FieldViolation>& violations) {
    CheckBedrock(variable, *config.mutable_bedrock(), violations);
  };
  kind.secret = [](const v1::BackendConfig& config) {
    const v1::BedrockBackend& bedrock = config.bedrock();
    return SecretUse{.secret = bedrock.has_api_key() ? &bedrock.api_key() : nullptr,
                     .url = bedrock::EndpointOf(bedrock)};
  };
  kind.aws = [](const v1::BackendConfig& config) -> std::optional<AwsUse> {
    const v1::BedrockBackend& bedrock = config.bedrock();
    if (bedrock.has_api_key()) return std::nullopt;
    return AwsUse{.profile = bedrock.profile(), .url = bedrock::EndpointOf(bedrock)};
  };
  return kind;
}

}  // namespace millrace::backend
