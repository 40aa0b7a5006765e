#include "server/aws/sigv4.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/text_file.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

std::string TextOf(const json::value& value, std::string_view path) {
  const json::value* found = FindPath(value, path);
  return found == nullptr ? "" : std::string(found->as_string());
}

int64_t WallMicros(const std::string& amz_date) {
  tm parts{};
  EXPECT_NE(::strptime(amz_date.c_str(), "%Y%m%dT%H%M%SZ", &parts), nullptr);
  return int64_t{::timegm(&parts)} * 1'000'000;
}

AwsKeys KeysOf(const json::value& vector) {
  return {.access_key_id = TextOf(vector, "credentials.access_key"),
          .secret_access_key = Secret(TextOf(vector, "credentials.secret_key")),
          .session_token = Secret(TextOf(vector, "credentials.session_token"))};
}

HttpRequest RequestOf(const json::value& vector) {
  HttpRequest request;
  request.method = TextOf(vector, "method");
  request.url = TextOf(vector, "url");
  for (const auto& header : vector.at("headers").as_object()) {
    request.headers.emplace_back(std::string(header.key()), std::string(header.value().as_string()));
  }
  request.body = TextOf(vector, "body");
  if (const json::value* times = FindPath(vector, "body_repeat"); times != nullptr && !times->is_null()) {
    request.body = std::string(static_cast<size_t>(times->as_int64()), request.body.at(0));
  }
  return request;
}

// The vectors were made by botocore 1.44.5.
TEST(SigV4Test, SignsLikeAws) {
  const auto file = ReadTextFile("tests/aws/data/sigv4.json", 1);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto vectors = ParseJson(*file);
  ASSERT_TRUE(vectors.ok()) << vectors.status();
  const json::array& cases = vectors->at("cases").as_array();
  EXPECT_EQ(cases.size(), 22u);
  for (const json::value& vector : cases) {
    SCOPED_TRACE(TextOf(vector, "name"));
    const AwsScope scope{.region = TextOf(vector, "region"), .service = TextOf(vector, "service")};
    const auto signature = SignAws(RequestOf(vector), KeysOf(vector), scope, WallMicros(TextOf(vector, "amz_date")));
    ASSERT_TRUE(signature.ok()) << signature.status();
    EXPECT_EQ(signature->canonical_request, TextOf(vector, "expected.canonical_request"));
    EXPECT_EQ(signature->string_to_sign, TextOf(vector, "expected.string_to_sign"));
    HttpHeaders expected;
    for (const auto& header : vector.at("expected").at("added_headers").as_object()) {
      expected.emplace_back(std::string(header.key()), std::string(header.value().as_string()));
    }
    expected.emplace_back("Authorization", TextOf(vector, "expected.authorization"));
    EXPECT_EQ(signature->headers, expected);
  }
}

HttpRequest Plain(HttpHeaders headers = {}) {
  return {.method = "GET", .url = "https://h.example/", .headers = std::move(headers), .body = ""};
}

TEST(SigV4Test, JoinsARepeatedHeader) {
  const auto signature = SignAws(Plain({{"X-B", " 1 "}, {"x-a", "0"}, {"x-b", "2"}}), {}, {"r", "s"}, 0);
  ASSERT_TRUE(signature.ok()) << signature.status();
  EXPECT_THAT(signature->canonical_request, HasSubstr("\nx-b:1,2\n\nhost;x-a;x-amz-date;x-b\n"));
}

TEST(SigV4Test, KeepsTheSecretKeyOutOfEverythingThatItReturns) {
  const AwsKeys keys{.access_key_id = "AKID", .secret_access_key = Secret("s3cret"), .session_token = Secret()};
  const auto signature = SignAws(Plain(), keys, {"r", "s"}, 0);
  ASSERT_TRUE(signature.ok()) << signature.status();
  EXPECT_THAT(signature->headers,
              ElementsAre(Pair("X-Amz-Date", "19700101T000000Z"), Pair("Authorization", Not(HasSubstr("s3cret")))));
  EXPECT_THAT(signature->canonical_request + signature->string_to_sign, Not(HasSubstr("s3cret")));
}

TEST(SigV4Test, RefusesAUrlThatCannotBeSent) {
  HttpRequest request = Plain();
  request.url = "h.example/model";
  EXPECT_EQ(ReasonOf(SignAws(request, {}, {"r", "s"}, 0).status()), Reason::kInvalidField);
}

TEST(SigV4Test, EscapesALabelOfAUrl) {
  EXPECT_EQ(AwsUriEscaped("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(AwsUriEscaped("m:0/ü +%"), "m%3A0%2F%C3%BC%20%2B%25");
}

}  // namespace
}  // namespace millrace
