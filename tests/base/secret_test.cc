#include "server/base/secret.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace millrace {
namespace {

using testing::HasSubstr;
using testing::Not;

class SecretFileTest : public testing::Test {
 protected:
  SecretFileTest() : directory_(testing::TempDir() + "secret-XXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/provider.key";
  }
  ~SecretFileTest() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_, std::ios::binary) << text;
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
  }
  std::string ErrorOf() { return std::string(MessageOf(Secret::FromFile(path_).status())); }

  std::string directory_;
  std::string path_;
};

TEST_F(SecretFileTest, IsTheContentWithoutItsLineEnd) {
  Write("canary\r\n");
  const StatusOr<Secret> secret = Secret::FromFile(path_);
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(secret->Reveal(), "canary");
  EXPECT_EQ(secret->warning(), "");
  Write("canary", 0400);
  EXPECT_TRUE(Secret::FromFile(path_).ok());
}

TEST_F(SecretFileTest, RefusesAFileThatOthersMayRead) {
  for (const mode_t mode : {0640, 0604, 0644, 0660, 0666, 0620, 0602}) {
    Write("canary", mode);
    const Status status = Secret::FromFile(path_).status();
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidDefinition) << mode;
    EXPECT_THAT(status.ToString(), HasSubstr("chmod 600 provider.key")) << mode;
    EXPECT_THAT(status.ToString(), Not(HasSubstr("canary"))) << mode;
    EXPECT_THAT(status.ToString(), Not(HasSubstr(directory_))) << mode;
  }
}

TEST_F(SecretFileTest, ReportsTheFaultOfAFile) {
  EXPECT_THAT(ErrorOf(), HasSubstr("the secret file provider.key can't be read"));
  Write("\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("is empty"));
  Write(std::string((64u << 10) + 1, 'k'));
  EXPECT_THAT(ErrorOf(), HasSubstr("has more than 65536 bytes"));
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(ErrorOf(), HasSubstr("is not a regular file"));
}

TEST(CleanSecretTest, RemovesWhatEditorsAndShellsLeaveAround) {
  for (const char* value : {"canary", "canary\n", "canary\r\n",
                            "\xef\xbb\xbf"
                            "canary",
                            " \tcanary ",
                            "\xef\xbb\xbf \xef\xbb\xbf"
                            "canary\n\n"}) {
    const StatusOr<std::string> cleaned = CleanSecret("the variable KEY", value);
    ASSERT_TRUE(cleaned.ok()) << cleaned.status();
    EXPECT_EQ(*cleaned, "canary");
  }
}

TEST(CleanSecretTest, LeavesKeysOfEveryFormAsTheyAre) {
  for (const char* key :
       {"sk-proj_a.b~c", "c2VjcmV0LWtleQ==", "a1b2/c3+d4", "user:password", "abc==", "key,of;marks!"}) {
    const StatusOr<std::string> cleaned = CleanSecret("the variable KEY", key);
    ASSERT_TRUE(cleaned.ok()) << cleaned.status();
    EXPECT_EQ(*cleaned, key);
  }
}

TEST(CleanSecretTest, RefusesByNameWhatNoKeyHas) {
  const std::pair<const char*, const char*> cases[] = {{"", "is empty"},
                                                       {" \r\n", "is empty"},
                                                       {"\"canary\"", "has quotes around its value"},
                                                       {"'canary'", "has quotes around its value"},
                                                       {"\"canary", "begins with a quote"},
                                                       {"Bearer canary", "begins with `Bearer `: give the key alone"},
                                                       {"export KEY=canary", "begins with `export `"},
                                                       {"canary # mine", "has a comment after the key"},
                                                       {"Token canary", "begins with `Token `: give the key alone"},
                                                       {"KEY=canary", "begins with a name and `=`"},
                                                       {"canary_key=canary", "begins with a name and `=`"},
                                                       {"canary\"", "has a quote after 6 characters"},
                                                       {"canary `x`", "has a blank after 6 characters"},
                                                       {"canary\\n", "has a backslash after 6 characters"},
                                                       {"canary,", "ends with `,` or `;`"},
                                                       {"${canary}", "begins with `$`"},
                                                       {"<canary>", "is `<...>`, which stands for a key"},
                                                       {"canary\nsecond", "a line end after 6 characters"},
                                                       {"canary\rsecond", "a line end after 6 characters"},
                                                       {"can\x01"
                                                        "ary",
                                                        "a control character after 3 characters"},
                                                       {"canary\xc2\xa0", "a character that is not ASCII after 6"}};
  for (const auto& [value, what] : cases) {
    const Status status = CleanSecret("the variable KEY", value).status();
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidDefinition) << value;
    EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("the variable KEY")) << value;
    EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(what)) << value;
    EXPECT_THAT(std::string(MessageOf(status)), Not(HasSubstr("canary"))) << value;
  }
}

TEST(SecretTest, RedactsItsValueFromTexts) {
  EXPECT_EQ(Secret("canary").Redact("a canary, a canary"), "a [secret], a [secret]");
  EXPECT_EQ(Secret().Redact("a canary"), "a canary");
}

}  // namespace
}  // namespace millrace
