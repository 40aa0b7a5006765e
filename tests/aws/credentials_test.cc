#include "server/aws/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aws/world.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""min;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""h;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

constexpr char kInstanceToken[] = "PUT http://169.254.169.254/latest/api/token";
constexpr char kInstanceRoles[] = "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/";

std::string LeaseBody(const std::string& id, const std::string& expiration) {
  return R"({"Code":"Success","AccessKeyId":")" + id +
         R"(","SecretAccessKey":"s3cret","Token":"t0ken","Expiration":")" + expiration + R"("})";
}

class AwsCredentialsTest : public testing::Test {
 protected:
  // Awaits keys; the id of the keys, or the error's message.
  struct Gotten {
    AwsCredentials::Keys keys;
    Status status;
    TimePoint time{};
    std::string Id() const { return keys ? keys->access_key_id : std::string(MessageOf(status)); }
  };
  std::shared_ptr<Gotten> Begin(AwsCredentials& credentials) {
    auto gotten = std::make_shared<Gotten>();
    world.loop.Spawn(GetOnce(credentials, gotten));
    return gotten;
  }
  Gotten Get(AwsCredentials& credentials) {
    const auto gotten = Begin(credentials);
    world.loop.RunUntil([&] { return gotten->time != TimePoint(); });
    return *gotten;
  }
  std::string IdOf(const std::string& profile = "") {
    AwsCredentials credentials(world.Sources(), profile);
    return Get(credentials).Id();
  }
  void PassTime(Duration duration) { world.clock.Advance(duration); }

  void ServeContainer(const std::string& id, const std::string& expiration) {
    world.variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/creds";
    world.services["GET http://169.254.170.2/creds"] = {200, LeaseBody(id, expiration)};
  }
  void ServeInstance(const std::string& id) {
    world.services[kInstanceToken] = {200, "imds"};
    world.services[kInstanceRoles] = {200, "role-1\n"};
    world.services[std::string(kInstanceRoles) + "role-1"] = {200, LeaseBody(id, "2026-01-02T09:04:05Z")};
  }

  AwsWorld world;

 private:
  Task<void> GetOnce(AwsCredentials& credentials, std::shared_ptr<Gotten> gotten) {
    auto keys = co_await credentials.Get();
    gotten->status = keys.status();
    if (keys.ok()) gotten->keys = *keys;
    gotten->time = world.loop.Now() + std::chrono::nanoseconds(1);
  }
};

// A server started with keys that no call could use.
TEST_F(AwsCredentialsTest, TheCheckRefusesByNameWhatNoCallCouldUse) {
  const auto check = [this](const std::string& profile = "") {
    return std::string(MessageOf(CheckAwsCredentials(world.Sources().system, profile)));
  };
  EXPECT_EQ(check(), "") << "the container and the instance are not asked";
  EXPECT_THAT(check("nonexist"), HasSubstr("the AWS profile `nonexist` is in neither"));
  world.variables["AWS_PROFILE"] = "nonexist";
  EXPECT_THAT(check(), HasSubstr("the AWS profile `nonexist` is in neither"));
  world.variables.erase("AWS_PROFILE");
  world.variables["AWS_ACCESS_KEY_ID"] = "AKIA";
  EXPECT_THAT(check(), HasSubstr("AWS_SECRET_ACCESS_KEY is not"));
  for (const char* secret : {"can\x01"
                             "ary",
                             "can ary", "\"canary\"", "canary'", "KEY=canary", "export canary"}) {
    world.variables["AWS_SECRET_ACCESS_KEY"] = secret;
    EXPECT_THAT(check(),
                testing::AllOf(HasSubstr("the environment variable AWS_SECRET_ACCESS_KEY"), Not(HasSubstr("canary"))));
  }
  world.variables["AWS_SECRET_ACCESS_KEY"] = "canary";
  EXPECT_EQ(check(), "");
  world.variables["AWS_ACCESS_KEY_ID"] = "AKIA\x01";
  EXPECT_THAT(check(), HasSubstr("the environment variable AWS_ACCESS_KEY_ID"));
  world.files["/h/.aws/credentials"] =
      "[dev]\naws_access_key_id = A\naws_secret_access_key = \"canary\"\n[ops]\naws_access_key_id = A\n"
      "aws_secret_access_key = canary\n";
  EXPECT_THAT(check("dev"), testing::AllOf(HasSubstr("`aws_secret_access_key` of the AWS profile `dev` has quotes"),
                                           Not(HasSubstr("canary"))));
  EXPECT_EQ(check("ops"), "");
  world.unreadable = "/h/.aws/credentials";
  EXPECT_THAT(check("ops"), HasSubstr("/h/.aws/credentials can't be read"));
  EXPECT_TRUE(world.requests.empty());
}

TEST_F(AwsCredentialsTest, ChoosesTheFirstSourceThatHasKeys) {
  ServeInstance("INSTANCE");
  EXPECT_EQ(IdOf(), "INSTANCE");
  ServeContainer("CONTAINER", "2026-01-02T09:04:05Z");
  EXPECT_EQ(IdOf(), "CONTAINER");
  world.files["/h/.aws/config"] = "[default]\naws_access_key_id = CONFIG\naws_secret_access_key = s\n";
  EXPECT_EQ(IdOf(), "CONFIG");
  world.files["/h/.aws/credentials"] = "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n";
  EXPECT_EQ(IdOf(), "FILE");
  world.variables["AWS_ACCESS_KEY_ID"] = "ENVIRONMENT";
  world.variables["AWS_SECRET_ACCESS_KEY"] = "s";
  EXPECT_EQ(IdOf(), "ENVIRONMENT");
  EXPECT_EQ(IdOf("default"), "FILE") << "a configured profile is the only source";
}

TEST_F(AwsCredentialsTest, TrimsVariablesOrRefusesThemByName) {
  world.variables["AWS_ACCESS_KEY_ID"] = "ENVIRONMENT\r\n";
  world.variables["AWS_SECRET_ACCESS_KEY"] = " s ";
  EXPECT_EQ(IdOf(), "ENVIRONMENT");
  world.variables["AWS_SESSION_TOKEN"] = "a\nb";
  EXPECT_THAT(IdOf(), HasSubstr("the environment variable AWS_SESSION_TOKEN has a line end"));
}

TEST_F(AwsCredentialsTest, NamesAllThatWasTriedIfNoKeysAreFound) {
  EXPECT_THAT(IdOf(),
              HasSubstr("no AWS credentials: AWS_ACCESS_KEY_ID is not set, the shared files have no keys, no "
                        "container agent is configured, and the metadata service of EC2 instances does not answer"));
  world.variables["AWS_EC2_METADATA_DISABLED"] = "true";
  world.requests.clear();
  EXPECT_THAT(IdOf(), HasSubstr("AWS_EC2_METADATA_DISABLED is `true`"));
  EXPECT_TRUE(world.requests.empty());
  AwsCredentials credentials(world.Sources(), "");
  EXPECT_EQ(ReasonOf(Get(credentials).status), Reason::kProviderCredentials);
}

TEST_F(AwsCredentialsTest, DoesNotPassOverASourceThatIsConfiguredWrongly) {
  ServeInstance("INSTANCE");
  world.variables["AWS_ACCESS_KEY_ID"] = "A";
  EXPECT_THAT(IdOf(), HasSubstr("AWS_SECRET_ACCESS_KEY is not"));
  world.variables.erase("AWS_ACCESS_KEY_ID");
  world.variables["AWS_SECRET_ACCESS_KEY"] = "s";
  EXPECT_THAT(IdOf(), HasSubstr("AWS_ACCESS_KEY_ID is not"));
  world.variables.erase("AWS_SECRET_ACCESS_KEY");

  world.variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/token";
  EXPECT_THAT(IdOf(), HasSubstr("web identities are not supported"));
  world.variables.erase("AWS_WEB_IDENTITY_TOKEN_FILE");

  world.variables["AWS_PROFILE"] = "dev";
  EXPECT_THAT(IdOf(), HasSubstr("the AWS profile `dev` is in neither"));
  world.files["/h/.aws/config"] = "[profile dev]\nregion = eu-west-1\n";
  EXPECT_EQ(IdOf(), "INSTANCE") << "a profile without keys";
  EXPECT_THAT(IdOf("dev"), HasSubstr("the AWS profile `dev` has no `aws_access_key_id`"));
  world.files["/h/.aws/config"] += "sso_session = x\n";
  EXPECT_THAT(IdOf(), HasSubstr("`dev` uses `sso_session`, which is not supported"));
  world.unreadable = "/h/.aws/config";
  EXPECT_THAT(IdOf(), HasSubstr("can't be read"));
  world.unreadable = "";
  world.variables.erase("AWS_PROFILE");

  ServeContainer("", "");
  EXPECT_THAT(IdOf(), HasSubstr("the container's agent for AWS credentials gives no credentials"));
}

TEST_F(AwsCredentialsTest, ReadsTheFilesThatTheEnvironmentNames) {
  world.variables["AWS_SHARED_CREDENTIALS_FILE"] = "/c";
  world.variables["AWS_PROFILE"] = "dev";
  world.files["/c"] = "[dev]\naws_access_key_id=A\naws_secret_access_key=s\naws_session_token=t\n";
  AwsCredentials credentials(world.Sources(), "");
  const Gotten gotten = Get(credentials);
  EXPECT_EQ(gotten.Id(), "A");
  EXPECT_EQ(gotten.keys->secret_access_key.Reveal(), "s");
  EXPECT_EQ(gotten.keys->session_token.Reveal(), "t");
}

TEST_F(AwsCredentialsTest, AsksTheInstanceByVersionTwoOnly) {
  ServeInstance("A");
  AwsCredentials credentials(world.Sources(), "");
  EXPECT_EQ(Get(credentials).keys->session_token.Reveal(), "t0ken");
  ASSERT_EQ(world.requests.size(), 3u);
  EXPECT_THAT(world.requests[0].headers, ElementsAre(Pair("x-aws-ec2-metadata-token-ttl-seconds", "21600")));
  EXPECT_THAT(world.requests[1].headers, ElementsAre(Pair("x-aws-ec2-metadata-token", "imds")));
  EXPECT_THAT(world.requests[2].headers, ElementsAre(Pair("x-aws-ec2-metadata-token", "imds")));
  EXPECT_LE(world.limits_of_last.connect, 1s);
  world.services[kInstanceToken].status = 404;
  EXPECT_THAT(IdOf(), HasSubstr("answers with HTTP 404"));
}

TEST_F(AwsCredentialsTest, RefusesWhatAServiceShouldNotAnswer) {
  ServeInstance("A");
  const std::string role_url = std::string(kInstanceRoles) + "role-1";
  for (const auto& [body, message] : std::map<std::string, std::string>{
           {"<html>s3cret", "does not answer with JSON"},
           {R"({"Code":"AssumeRoleUnauthorizedAccess","Message":"s3cret"})", "AssumeRoleUnauthorizedAccess"},
           {R"({"AccessKeyId":"A","Token":"s3cret"})", "gives no credentials"},
           {LeaseBody("A", "tomorrow"), "`tomorrow` is not a time"},
           {LeaseBody("A", "2026-01-02T03:04:05Z"), "have expired"}}) {
    world.services[role_url] = {200, body};
    EXPECT_THAT(IdOf(), HasSubstr(message));
    EXPECT_THAT(IdOf(), Not(HasSubstr("s3cret")));
  }
  for (const char* roles : {"", "a/b", "a b"}) {
    world.services[kInstanceRoles].body = roles;
    EXPECT_THAT(IdOf(), HasSubstr("names no role")) << roles;
  }
}

TEST_F(AwsCredentialsTest, SendsTheAgentsTokenToAgentsOnly) {
  world.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "old";
  world.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = "/token";
  world.files["/token"] = "new\n";
  for (const char* url : {"http://127.0.0.1:8080/c", "http://localhost/c", "http://[::1]/c",
                          "http://169.254.170.23/v1/c", "http://[fd00:ec2::23]/c", "https://agent.example/c"}) {
    world.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url;
    world.services[std::string("GET ") + url] = {200, LeaseBody("A", "2026-01-02T09:04:05Z")};
    EXPECT_EQ(IdOf(), "A") << url;
    EXPECT_THAT(world.requests.back().headers, Contains(Pair("Authorization", "new")));
  }
  world.requests.clear();
  for (const char* url :
       {"http://agent.example/c", "http://169.254.169.254/c", "http://10.0.0.1/c", "file:///c", "x"}) {
    world.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url;
    EXPECT_THAT(IdOf(), HasSubstr("must be https, or http to loopback")) << url;
  }
  world.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://127.0.0.1/c";
  world.files["/token"] = "a\r\nb";
  EXPECT_THAT(IdOf(), HasSubstr("more than one line"));
  world.files.erase("/token");
  EXPECT_THAT(IdOf(), HasSubstr("does not exist"));
  EXPECT_TRUE(world.requests.empty());
}

TEST_F(AwsCredentialsTest, FetchesOnceForAllWhoWait) {
  ServeContainer("A", "2026-01-02T09:04:05Z");
  AwsCredentials credentials(world.Sources(), "");
  std::vector<std::shared_ptr<Gotten>> all;
  for (int i = 0; i < 100; ++i) all.push_back(Begin(credentials));
  world.loop.RunUntil([&] { return all.back()->time != TimePoint(); });
  for (const auto& gotten : all) EXPECT_EQ(gotten->keys, all[0]->keys);
  EXPECT_EQ(all[0]->Id(), "A");
  EXPECT_EQ(world.requests.size(), 1u);
}

TEST_F(AwsCredentialsTest, AllWhoWaitGetTheError) {
  world.variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/creds";
  AwsCredentials credentials(world.Sources(), "");
  const auto first = Begin(credentials);
  const auto second = Begin(credentials);
  world.loop.RunUntil([&] { return first->time != TimePoint() && second->time != TimePoint(); });
  EXPECT_THAT(first->Id(), HasSubstr("does not answer"));
  EXPECT_EQ(first->status, second->status);
  EXPECT_EQ(world.requests.size(), 1u);
  ServeContainer("A", "2026-01-02T09:04:05Z");
  EXPECT_EQ(Get(credentials).Id(), "A") << "an error is not kept";
}

TEST_F(AwsCredentialsTest, RefreshesBeforeTheKeysExpire) {
  ServeContainer("A", "2026-01-02T04:04:05Z");  // in an hour
  AwsCredentials credentials(world.Sources(), "");
  EXPECT_EQ(Get(credentials).Id(), "A");
  ServeContainer("B", "2026-01-02T06:04:05Z");
  PassTime(49min);
  EXPECT_EQ(Get(credentials).Id(), "A");
  EXPECT_EQ(world.requests.size(), 1u);
  world.clock.JumpWall(24h);
  EXPECT_EQ(Get(credentials).Id(), "A") << "a jump of the wall clock changes nothing";
  world.clock.JumpWall(-24h);
  PassTime(1min + 1s);
  const auto first = Begin(credentials);
  const auto second = Begin(credentials);
  world.loop.RunUntil([&] { return first->time != TimePoint() && second->time != TimePoint(); });
  EXPECT_EQ(first->Id(), "B");
  EXPECT_EQ(second->Id(), "A") << "the old keys are valid, so the second caller does not wait";
  EXPECT_LT(second->time, first->time);
  EXPECT_EQ(world.requests.size(), 2u);
}

TEST_F(AwsCredentialsTest, UsesOldKeysWhileTheyAreValidIfARefreshFails) {
  ServeContainer("A", "2026-01-02T04:04:05Z");
  AwsCredentials credentials(world.Sources(), "");
  EXPECT_EQ(Get(credentials).Id(), "A");
  world.services.clear();
  PassTime(51min);
  EXPECT_EQ(Get(credentials).Id(), "A");
  EXPECT_EQ(Get(credentials).Id(), "A");
  EXPECT_EQ(world.requests.size(), 2u) << "not tried again at once";
  PassTime(9min);
  EXPECT_THAT(Get(credentials).Id(), HasSubstr("does not answer")) << "expired";
}

TEST_F(AwsCredentialsTest, RefreshesShortLivedKeysAfterHalfOfTheirLife) {
  ServeContainer("A", "2026-01-02T03:10:05Z");  // in 6 minutes
  AwsCredentials credentials(world.Sources(), "");
  EXPECT_EQ(Get(credentials).Id(), "A");
  PassTime(2min);
  Get(credentials);
  EXPECT_EQ(world.requests.size(), 1u);
  PassTime(2min);
  Get(credentials);
  EXPECT_EQ(world.requests.size(), 2u);
}

TEST_F(AwsCredentialsTest, ReadsTheSharedFilesAgain) {
  world.files["/h/.aws/credentials"] = "[default]\naws_access_key_id = A\naws_secret_access_key = s\n";
  AwsCredentials credentials(world.Sources(), "");
  EXPECT_EQ(Get(credentials).Id(), "A");
  world.files["/h/.aws/credentials"] = "[default]\naws_access_key_id = B\naws_secret_access_key = s\n";
  PassTime(4min);
  EXPECT_EQ(Get(credentials).Id(), "A");
  EXPECT_EQ(world.files_read, 2);
  PassTime(1min);
  EXPECT_EQ(Get(credentials).Id(), "B");
}

TEST_F(AwsCredentialsTest, FetchesOthersAfterARefusal) {
  ServeContainer("A", "2026-01-02T09:04:05Z");
  AwsCredentials credentials(world.Sources(), "");
  const Gotten old = Get(credentials);
  EXPECT_FALSE(credentials.Drop(old.keys)) << "they are new";
  EXPECT_EQ(Get(credentials).Id(), "A");
  ServeContainer("B", "2026-01-02T09:04:05Z");
  PassTime(1min);
  EXPECT_TRUE(credentials.Drop(old.keys));
  EXPECT_EQ(Get(credentials).Id(), "B");
  EXPECT_TRUE(credentials.Drop(old.keys)) << "they have been replaced";
  EXPECT_EQ(world.requests.size(), 2u);

  world.variables["AWS_ACCESS_KEY_ID"] = "ENVIRONMENT";
  world.variables["AWS_SECRET_ACCESS_KEY"] = "s";
  AwsCredentials fixed(world.Sources(), "");
  const Gotten keys = Get(fixed);
  PassTime(1h);
  EXPECT_FALSE(fixed.Drop(keys.keys));
}

}  // namespace
}  // namespace millrace
