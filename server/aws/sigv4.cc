#include "server/aws/sigv4.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <vector>

#include "server/base/digest.h"
#include "server/http/url.h"

namespace millrace {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

// Headers that proxies add, change or drop, so they are not signed.
constexpr std::string_view kUnsigned[] = {
    "authorization", "baggage",           "connection",          "expect",     "keep-alive", "te",
    "trailer",       "transfer-encoding", "traceparent",         "tracestate", "upgrade",    "proxy-authenticate",
    "user-agent",    "x-amzn-trace-id",   "proxy-authorization",
};

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

bool IsUnreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::string Escaped(std::string_view text, std::string_view also_kept) {
  std::string escaped;
  for (const char c : text) {
    if (IsUnreserved(c) || also_kept.find(c) != std::string_view::npos) {
      escaped.push_back(c);
    } else {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Returns the escaped path, without empty and dot segments, escaped again.
std::string CanonicalPath(std::string_view path) {
  std::vector<std::string_view> kept;
  for (const std::string_view segment : Split(path, '/')) {
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!segment.empty() && segment != ".") {
      kept.push_back(segment);
    }
  }
  std::string canonical;
  for (const std::string_view segment : kept) canonical += "/" + Escaped(segment, "");
  if (canonical.empty() || path.ends_with('/')) canonical += "/";
  return canonical;
}

// Returns the pairs of a query, which is escaped already, sorted by name and then by value.
std::string CanonicalQuery(std::string_view query) {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  for (const std::string_view part : Split(query, '&')) {
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    pairs.emplace_back(part.substr(0, equals),
                       equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1));
  }
  std::sort(pairs.begin(), pairs.end());
  std::string canonical;
  for (const auto& [name, value] : pairs) {
    canonical += fmt::format("{}{}={}", canonical.empty() ? "" : "&", name, value);
  }
  return canonical;
}

// Returns the value without blanks at its ends, and with one space for each run of blanks.
std::string CanonicalValue(std::string_view value) {
  std::string canonical;
  bool is_blank = true;
  for (const char c : value) {
    const bool was_blank = is_blank;
    is_blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!is_blank) canonical.push_back(c);
    if (is_blank && !was_blank) canonical.push_back(' ');
  }
  if (canonical.ends_with(' ')) canonical.pop_back();
  return canonical;
}

// Signed headers by name, sorted. A repeated header has its values joined by commas.
std::map<std::string, std::string> SignedHeaders(const HttpHeaders& headers) {
  std::map<std::string, std::string> signed_headers;
  for (const auto& [name, value] : headers) {
    std::string lower = Lower(name);
    if (std::find(std::begin(kUnsigned), std::end(kUnsigned), lower) != std::end(kUnsigned)) continue;
    const auto [entry, is_new] = signed_headers.try_emplace(std::move(lower), CanonicalValue(value));
    if (!is_new) entry->second += "," + CanonicalValue(value);
  }
  return signed_headers;
}

std::string Hmac(std::string_view key, std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  const unsigned char* const made =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
           text.size(), digest, &size);
  if (made == nullptr) std::abort();
  return std::string(reinterpret_cast<const char*>(digest), size);
}

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

// `20260102T030405Z`
std::string AmzDate(int64_t wall_micros) {
  const time_t seconds = static_cast<time_t>(wall_micros / 1'000'000);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  const size_t length = ::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return std::string(text, length);
}

}  // namespace

std::string AwsUriEscaped(std::string_view text) { return Escaped(text, ""); }

StatusOr<AwsSignature> SignAws(const HttpRequest& request, const AwsKeys& keys, const AwsScope& scope,
                               int64_t wall_micros) {
  MR_ASSIGN_OR_RETURN(const HttpUrl url, ParseHttpUrl(request.url));
  const std::string date_time = AmzDate(wall_micros);
  const std::string date = date_time.substr(0, 8);

  AwsSignature signature;
  signature.headers.emplace_back("X-Amz-Date", date_time);
  if (!keys.session_token.empty()) {
    signature.headers.emplace_back("X-Amz-Security-Token", std::string(keys.session_token.Reveal()));
  }
  HttpHeaders all = request.headers;
  all.emplace_back("Host", url.authority);
  all.insert(all.end(), signature.headers.begin(), signature.headers.end());
  std::string header_lines;
  std::string names;
  for (const auto& [name, value] : SignedHeaders(all)) {
    header_lines += fmt::format("{}:{}\n", name, value);
    names += (names.empty() ? "" : ";") + name;
  }

  const std::string_view target = url.target;
  const size_t question_mark = target.find('?');
  const std::string_view query =
      question_mark == std::string_view::npos ? std::string_view() : target.substr(question_mark + 1);
  signature.canonical_request =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, CanonicalPath(target.substr(0, question_mark)),
                  CanonicalQuery(query), header_lines, names, Digest::Of(request.body).Hex());

  const std::string place = fmt::format("{}/{}/{}/aws4_request", date, scope.region, scope.service);
  signature.string_to_sign =
      fmt::format("{}\n{}\n{}\n{}", kAlgorithm, date_time, place, Digest::Of(signature.canonical_request).Hex());

  std::string key = "AWS4" + std::string(keys.secret_access_key.Reveal());
  for (const std::string_view part : {std::string_view(date), std::string_view(scope.region),
                                      std::string_view(scope.service), std::string_view("aws4_request")}) {
    key = Hmac(key, part);
  }
  signature.headers.emplace_back(
      "Authorization", fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                                   keys.access_key_id, place, names, Hex(Hmac(key, signature.string_to_sign))));
  return signature;
}

}  // namespace millrace
