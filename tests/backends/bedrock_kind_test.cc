// Checks of the bedrock backend's configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "backends/bedrock/bedrock.h"
#include "backends/bedrock/endpoint.h"

namespace millrace::backend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Variables = std::map<std::string, std::string>;

struct Checked {
  v1::BackendConfig config;
  std::vector<std::string> violations;  // `field: description`
};

BackendKind Kind(const Variables& variables) {
  return BedrockKind([variables](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  });
}

Checked Check(const v1::BedrockBackend& bedrock, const Variables& variables = {}) {
  Checked checked;
  *checked.config.mutable_bedrock() = bedrock;
  std::vector<FieldViolation> violations;
  Kind(variables).check(checked.config, nullptr, violations);
  for (const FieldViolation& violation : violations) {
    checked.violations.push_back(violation.field + ": " + violation.description);
  }
  return checked;
}

v1::BedrockBackend In(const std::string& region, const std::string& endpoint = "") {
  v1::BedrockBackend bedrock;
  bedrock.set_region(region);
  bedrock.set_endpoint(endpoint);
  return bedrock;
}

TEST(BedrockKindTest, FindsTheRegionOfAnEndpoint) {
  using bedrock::RegionIn;
  EXPECT_EQ(RegionIn("https://bedrock-runtime.us-east-1.amazonaws.com"), "us-east-1");
  EXPECT_EQ(RegionIn("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/"), "us-gov-west-1");
  EXPECT_EQ(RegionIn("https://bedrock-runtime.eu-west-1.api.aws"), "eu-west-1");
  EXPECT_EQ(RegionIn("https://bedrock-runtime.cn-north-1.amazonaws.com.cn"), "cn-north-1");
  EXPECT_EQ(RegionIn("https://vpce-0a-1b.bedrock-runtime.us-west-2.vpce.amazonaws.com"), "us-west-2");
  EXPECT_EQ(RegionIn("https://bedrock-runtime.us-east-1.amazonaws.com.evil.example"), "");
  EXPECT_EQ(RegionIn("http://127.0.0.1:4566"), "");
  EXPECT_EQ(RegionIn(""), "");
}

TEST(BedrockKindTest, TakesTheRegionFromTheConfigurationTheEndpointOrTheEnvironment) {
  const auto region = [](const v1::BedrockBackend& bedrock, const Variables& variables) {
    const Checked checked = Check(bedrock, variables);
    EXPECT_THAT(checked.violations, IsEmpty());
    return checked.config.bedrock().region();
  };
  const Variables both = {{"AWS_REGION", "eu-west-1"}, {"AWS_DEFAULT_REGION", "eu-west-2"}};
  EXPECT_EQ(region(In("us-east-1"), both), "us-east-1");
  EXPECT_EQ(region(In("", "https://bedrock-runtime.ap-south-1.amazonaws.com"), both), "ap-south-1");
  EXPECT_EQ(region(In(""), both), "eu-west-1");
  EXPECT_EQ(region(In(""), {{"AWS_DEFAULT_REGION", "eu-west-2"}}), "eu-west-2");
}

TEST(BedrockKindTest, RefusesARegionThatIsAbsentOrWrong) {
  EXPECT_THAT(Check(In("")).violations, ElementsAre(HasSubstr("region: is not set")));
  EXPECT_THAT(Check(In("us-east-1", "https://bedrock-runtime.us-west-2.amazonaws.com")).violations,
              ElementsAre("region: is `us-east-1`, but the endpoint is in `us-west-2`"));
  EXPECT_THAT(Check(In(""), {{"AWS_REGION", "us east"}}).violations,
              ElementsAre("region: `us east` is not a region such as `us-east-1`"));
}

TEST(BedrockKindTest, TakesTheEndpointOfTheEnvironmentAsAwsToolsDo) {
  const Variables both = {{"AWS_ENDPOINT_URL", "http://127.0.0.1:1"},
                          {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:2"}};
  EXPECT_EQ(Check(In("us-east-1"), both).config.bedrock().endpoint(), "http://127.0.0.1:2");
  EXPECT_EQ(Check(In("us-east-1", "http://127.0.0.1:3"), both).config.bedrock().endpoint(), "http://127.0.0.1:3");
  EXPECT_EQ(Check(In("us-east-1"), {{"AWS_ENDPOINT_URL", "http://127.0.0.1:1"}}).config.bedrock().endpoint(),
            "http://127.0.0.1:1");
  EXPECT_THAT(Check(In("us-east-1", "http://provider.example")).violations,
              ElementsAre(HasSubstr("endpoint: the URL")));
}

TEST(BedrockKindTest, SignsRequestsOrSendsAKey) {
  const Variables token = {{"AWS_BEARER_TOKEN_BEDROCK", "t0ken"}};
  v1::BedrockBackend bedrock = In("us-east-1");
  const auto use = [](const Checked& checked) { return Kind({}).aws(checked.config); };

  const Checked signing = Check(bedrock);
  EXPECT_EQ(use(signing)->profile, "");
  EXPECT_EQ(use(signing)->url, "https://bedrock-runtime.us-east-1.amazonaws.com");
  EXPECT_EQ(Kind({}).secret(signing.config).secret, nullptr);

  const Checked with_token = Check(bedrock, token);
  EXPECT_FALSE(use(with_token).has_value());
  EXPECT_EQ(Kind({}).secret(with_token.config).secret->env(), "AWS_BEARER_TOKEN_BEDROCK");
  EXPECT_EQ(Kind({}).secret(with_token.config).url, "https://bedrock-runtime.us-east-1.amazonaws.com");

  bedrock.set_profile("dev");
  EXPECT_EQ(use(Check(bedrock, token))->profile, "dev") << "a configured profile wins";

  bedrock.mutable_api_key()->set_env("KEY");
  EXPECT_THAT(Check(bedrock).violations, ElementsAre(HasSubstr("profile: `profile` and `api_key` are both given")));
  bedrock.clear_profile();
  EXPECT_EQ(Kind({}).secret(Check(bedrock, token).config).secret->env(), "KEY");
  bedrock.mutable_api_key()->set_env("not a name");
  EXPECT_THAT(Check(bedrock).violations, ElementsAre(HasSubstr("api_key.env: ")));
}

}  // namespace
}  // namespace millrace::backend
