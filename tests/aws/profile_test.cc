#include "server/aws/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using testing::HasSubstr;

std::string IdIn(const AwsFiles& files, const std::string& name) {
  const StatusOr<AwsProfile> profile = ReadAwsProfile(files, name);
  if (!profile.ok()) return std::string(MessageOf(profile.status()));
  if (!profile->exists) return "no profile";
  return profile->keys ? profile->keys->access_key_id : "no keys";
}

TEST(AwsProfileTest, ReadsTheFormatOfAwsTools) {
  const AwsFiles files{.credentials =
                           "# a comment\n"
                           "[default]\r\n"
                           "AWS_Access_Key_Id = A\r\n"
                           "aws_secret_access_key=s/+=x\r\n"
                           "\n"
                           "; another\n"
                           "[ dev ]\n"
                           "s3 =\n"
                           "  aws_access_key_id = nested\n"
                           "aws_access_key_id : B\n"
                           "aws_secret_access_key : s",
                       .config =
                           "[profile dev]\nregion = x\n[profile \"two words\"]\naws_access_key_id = C\n"
                           "aws_secret_access_key = s\n[profile empty]\nnonsense\n[unclosed\n"};
  EXPECT_EQ(IdIn(files, "default"), "A");
  EXPECT_EQ(IdIn(files, "dev"), "B");
  EXPECT_EQ(IdIn(files, "two words"), "C");
  EXPECT_EQ(IdIn(files, "empty"), "no keys");
  EXPECT_EQ(IdIn(files, "other"), "no profile");
  EXPECT_EQ(IdIn({}, "default"), "no profile");
  const StatusOr<AwsProfile> profile = ReadAwsProfile(files, "default");
  ASSERT_TRUE(profile.ok());
  EXPECT_EQ(profile->keys->secret_access_key.Reveal(), "s/+=x");
  EXPECT_TRUE(profile->keys->session_token.empty());
}

TEST(AwsProfileTest, NeverCombinesKeysOfTwoFiles) {
  const AwsFiles files{
      .credentials = "[p]\naws_access_key_id = A\naws_secret_access_key = a\n",
      .config = "[profile p]\naws_access_key_id = B\naws_secret_access_key = b\naws_session_token = t\n"};
  const StatusOr<AwsProfile> profile = ReadAwsProfile(files, "p");
  ASSERT_TRUE(profile.ok());
  EXPECT_EQ(profile->keys->access_key_id, "A");
  EXPECT_TRUE(profile->keys->session_token.empty());
}

TEST(AwsProfileTest, RefusesHalfAPairOfKeys) {
  EXPECT_EQ(IdIn({.credentials = "[p]\naws_access_key_id = A\n", .config = ""}, "p"),
            "the AWS profile `p` has no `aws_secret_access_key`");
  EXPECT_EQ(IdIn({.credentials = "[p]\naws_secret_access_key = s3cret\n", .config = ""}, "p"),
            "the AWS profile `p` has no `aws_access_key_id`");
}

TEST(AwsProfileTest, RefusesWaysThatAreNotSupported) {
  const std::string keys = "aws_access_key_id = A\naws_secret_access_key = a\n";
  for (const char* setting :
       {"role_arn", "web_identity_token_file", "sso_session", "sso_start_url", "sso_account_id"}) {
    const std::string config = std::string("[profile p]\n") + setting + " = x\n";
    EXPECT_THAT(IdIn({.credentials = "[p]\n" + keys, .config = config}, "p"),
                HasSubstr(std::string("uses `") + setting + "`"));
  }
  for (const char* setting : {"credential_process", "login_session"}) {
    const std::string config = std::string("[profile p]\n") + setting + " = x\n";
    EXPECT_THAT(IdIn({.credentials = "", .config = config}, "p"), HasSubstr(std::string("uses `") + setting + "`"));
    EXPECT_EQ(IdIn({.credentials = "[p]\n" + keys, .config = config}, "p"), "A") << "AWS's tools prefer keys";
  }
}

}  // namespace
}  // namespace millrace
