#include "server/http/guard.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(GuardTest, AcceptsHttpOnlyToLoopbackAndPrivateAddresses) {
  for (const std::string_view url :
       {"https://api.openai.com/v1", "http://localhost:1234/v1", "http://127.0.0.1/v1", "http://10.1.2.3:80",
        "http://172.31.0.1", "http://192.168.1.1", "http://[::1]:8000", "http://[fd00::1]"}) {
    EXPECT_TRUE(CheckBackendUrl(url).ok()) << url;
  }
  for (const std::string_view url : {"http://api.openai.com/v1", "http://8.8.8.8/", "http://172.32.0.1",
                                     "http://192.169.0.1", "http://169.254.169.254/", "http://localhost.evil.example/",
                                     "http://[2001:db8::1]/", "ftp://127.0.0.1/", "127.0.0.1:80"}) {
    EXPECT_EQ(ReasonOf(CheckBackendUrl(url)), Reason::kInvalidDefinition) << url;
  }
}

TEST(GuardTest, RefusesUrlsWithUserQueryOrFragment) {
  for (const std::string_view url :
       {"", "api.example.com", "https://user@example.com/", "https://example.com/?a=b", "https://example.com/#f",
        "https://127.0.0.1#@evil/", "https://a\\@b/", "https://example.com:0/", "https://example.com:99999/",
        "https://[::g]/", "https://exa mple.com", "http://2130706433/", "http://0x7f.1/", "http://127.1/",
        "https:///v1", "https://example.com\n", "https://example.com/v1?", "file:///etc/passwd"}) {
    EXPECT_EQ(ReasonOf(CheckBackendUrl(url)), Reason::kInvalidDefinition) << url;
  }
}

TEST(GuardTest, RefusesAddressesThatNoProviderHasEvenByHttps) {
  for (const std::string_view url :
       {"https://169.254.169.254/latest", "https://0.0.0.0/", "https://[::]/", "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/", "http://0.1.2.3/", "https://224.0.0.1/", "https://[ff02::1]/"}) {
    EXPECT_EQ(ReasonOf(CheckBackendUrl(url)), Reason::kInvalidDefinition) << url;
  }
  EXPECT_TRUE(CheckBackendUrl("http://[::ffff:127.0.0.1]/").ok());
}

}  // namespace
}  // namespace millrace
