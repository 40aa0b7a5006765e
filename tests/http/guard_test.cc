#include "server/http/guard.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(GuardTest, TakesHttpOnlyToNearAddresses) {
  for (const std::string_view url :
       {"https://api.openai.com/v1", "http://localhost:1234/v1", "http://127.0.0.1/v1", "http://10.1.2.3:80",
        "http://172.31.0.1", "http://192.168.1.1", "http://[::1]:8000", "http://[fd00::1]"}) {
    EXPECT_TRUE(CheckBackendUrl(url).ok()) << url;
  }
  for (const std::string_view url : {"http://api.openai.com/v1", "http://8.8.8.8/", "http://172.32.0.1",
                                     "http://192.169.0.1", "http://169.254.169.254/", "http://localhost.evil.example/",
                                     "http://[2001:db8::1]/", "ftp://127.0.0.1/", "127.0.0.1:80"}) {
    EXPECT_EQ(ReasonOf(CheckBackendUrl(url)), "INVALID_DEFINITION") << url;
  }
}

}  // namespace
}  // namespace millrace
