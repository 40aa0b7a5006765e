#include "server/http/url.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

std::string Shown(std::string_view text) {
  const StatusOr<HttpUrl> url = ParseHttpUrl(text);
  if (!url.ok()) return "refused";
  return fmt::format("{}{} {} {} {}", url->tls ? "tls " : "", url->host, url->port, url->authority, url->target);
}

TEST(UrlTest, ParsesAnAbsoluteUrl) {
  EXPECT_EQ(Shown("https://api.openai.com/v1/chat/completions"),
            "tls api.openai.com 443 api.openai.com /v1/chat/completions");
  EXPECT_EQ(Shown("http://h:8080"), "h 8080 h:8080 /");
  EXPECT_EQ(Shown("http://h:80?a=b%20c#d"), "h 80 h /?a=b%20c");
  EXPECT_EQ(Shown("http://[::1]:7/x"), "::1 7 [::1]:7 /x");
}

TEST(UrlTest, RefusesOtherTexts) {
  for (const std::string_view text : {"", "/x", "h/x", "file:///etc/passwd", "http://", "http:///x", "http://u@h/",
                                      "http://h/ x", "http://h\r\nX: y/", "http://h:99999999/", "http://a%41/"}) {
    EXPECT_EQ(Shown(text), "refused") << text;
  }
}

}  // namespace
}  // namespace millrace
