#include "server/otlp/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "server/base/duration.h"
#include "server/base/utf8.h"
#include "server/config/address.h"

namespace millrace::otlp {
namespace {

constexpr char kDefaultEndpoint[] = "http://localhost:4317";

Status Refuse(std::string_view message) { return MakeError(Reason::kInvalidDefinition, message); }

std::string Lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<std::string> PercentDecoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const auto digit = [&](size_t at) {
      const char c = at < text.size() ? text[at] : 'x';
      if (c >= '0' && c <= '9') return c - '0';
      if (c >= 'a' && c <= 'f') return c - 'a' + 10;
      return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    };
    if (digit(i + 1) < 0 || digit(i + 2) < 0) return std::nullopt;
    decoded += static_cast<char>(digit(i + 1) * 16 + digit(i + 2));
    i += 2;
  }
  return decoded;
}

// Returns the pairs of `k1=v1,k2=v2`, values percent-decoded; nothing if any of it can't be read.
std::optional<Pairs> ReadPairs(std::string_view text) {
  Pairs pairs;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view member = Trimmed(text.substr(0, comma));
    if (!member.empty()) {
      const size_t equals = member.find('=');
      if (equals == std::string_view::npos || equals == 0) return std::nullopt;
      const auto key = PercentDecoded(Trimmed(member.substr(0, equals)));
      const auto value = PercentDecoded(Trimmed(member.substr(equals + 1)));
      if (!key || key->empty() || !value) return std::nullopt;
      pairs.emplace_back(*key, *value);
    }
    if (comma == std::string_view::npos) return pairs;
    text.remove_prefix(comma + 1);
  }
}

// Reads the variables. An empty value counts as unset.
class Variables {
 public:
  Variables(const Environment& environment, std::vector<std::string>& warnings)
      : environment_(environment), warnings_(warnings) {}

  std::optional<std::string> Get(const std::string& name) const {
    std::optional<std::string> value = environment_(name);
    if (value && value->empty()) value.reset();
    return value;
  }
  // The variable of traces wins over that of all signals: Exporter("TIMEOUT").
  std::optional<std::string> Exporter(const std::string& name) const {
    std::optional<std::string> value = Get("OTEL_EXPORTER_OTLP_TRACES_" + name);
    return value ? value : Get("OTEL_EXPORTER_OTLP_" + name);
  }
  bool IsTrue(const std::string& name) const { return Lower(Get(name).value_or("")) == "true"; }

  void Warn(const std::string& name, std::string_view expected) {
    warnings_.push_back(fmt::format("{} is ignored: expected {}", name, expected));
  }

  // Sets `target` to the number, if there is one within the bounds.
  template <typename T>
  void Number(const std::string& name, const std::optional<std::string>& value, double min, double max, T& target) {
    if (!value) return;
    double number = 0;
    if (!absl::SimpleAtod(*value, &number) || !(number >= min && number <= max)) {
      Warn(name, fmt::format("a number from {} to {}", min, max));
      return;
    }
    target = static_cast<T>(number);
  }
  void Millis(const std::string& name, const std::optional<std::string>& value, Duration& target) {
    int64_t millis = std::chrono::duration_cast<std::chrono::milliseconds>(target).count();
    Number(name, value, 1, 3'600'000, millis);
    target = std::chrono::milliseconds(millis);
  }

 private:
  const Environment& environment_;
  std::vector<std::string>& warnings_;
};

bool IsMetadataKey(std::string_view key) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return !key.starts_with("grpc-") && !key.ends_with("-bin") && std::all_of(key.begin(), key.end(), fits);
}

Status ReadHeaders(const Variables& variables, Endpoint& endpoint) {
  const std::optional<std::string> text = variables.Exporter("HEADERS");
  if (!text) return absl::OkStatus();
  // The messages show nothing of it: it may be a secret.
  std::optional<Pairs> headers = ReadPairs(*text);
  if (!headers) return Refuse("OTEL_EXPORTER_OTLP_HEADERS can't be read; expected `key=value,key2=value2`");
  for (auto& [key, value] : *headers) {
    key = Lower(std::move(key));
    if (!IsMetadataKey(key)) return Refuse("OTEL_EXPORTER_OTLP_HEADERS has a key that gRPC does not allow");
    if (!std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c <= 0x7e; })) {
      return Refuse("OTEL_EXPORTER_OTLP_HEADERS has a value with characters that are not printable ASCII");
    }
  }
  endpoint.headers = *std::move(headers);
  return absl::OkStatus();
}

Status ReadEndpoint(std::string_view url, std::string_view source, const Variables& variables, Endpoint& endpoint) {
  endpoint.tls = Lower(variables.Exporter("INSECURE").value_or("")) != "true";
  std::string_view rest = url;
  if (const size_t scheme = url.find("://"); scheme != std::string_view::npos) {
    const std::string name = Lower(std::string(url.substr(0, scheme)));
    if (name != "http" && name != "https") {
      return Refuse(fmt::format("{} must begin with http:// or https://, got \"{}\"", source, Excerpt(url)));
    }
    endpoint.tls = name == "https";
    rest = url.substr(scheme + 3);
  }
  rest = rest.substr(0, rest.find_first_of("/?#"));  // gRPC has no path
  const std::optional<HostPort> address = ParseHostPort(rest);
  // The URL is not shown if it may hold a password.
  if (!address || rest.find('@') != std::string_view::npos) {
    return Refuse(fmt::format("{} must be a URL with host and port, such as http://127.0.0.1:4317", source));
  }
  if (!endpoint.tls && !IsLoopback(address->host)) {
    return Refuse(fmt::format("{} is plain http to another machine, \"{}\"; use https, or a collector on this machine",
                              source, Excerpt(address->host)));
  }
  endpoint.target = std::string(rest);
  endpoint.roots_file = variables.Exporter("CERTIFICATE").value_or("");
  endpoint.key_file = variables.Exporter("CLIENT_KEY").value_or("");
  endpoint.certificate_file = variables.Exporter("CLIENT_CERTIFICATE").value_or("");
  if (endpoint.key_file.empty() != endpoint.certificate_file.empty()) {
    return Refuse("OTEL_EXPORTER_OTLP_CLIENT_KEY and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE need each other");
  }
  return ReadHeaders(variables, endpoint);
}

void ReadSampler(Variables& variables, trace::Sampler& sampler) {
  const std::optional<std::string> name = variables.Get("OTEL_TRACES_SAMPLER");
  if (!name) return;
  std::string_view root = *name;
  constexpr std::string_view kParentBased = "parentbased_";
  const bool follows_parent = root.starts_with(kParentBased);
  if (follows_parent) root.remove_prefix(kParentBased.size());
  if (root != "always_on" && root != "always_off" && root != "traceidratio") {
    return variables.Warn("OTEL_TRACES_SAMPLER",
                          "always_on, always_off or traceidratio, or one of them after parentbased_");
  }
  sampler = {.ratio = 1, .follows_parent = follows_parent, .is_off = root == "always_off"};
  if (root != "traceidratio") return;
  variables.Number("OTEL_TRACES_SAMPLER_ARG", variables.Get("OTEL_TRACES_SAMPLER_ARG"), 0, 1, sampler.ratio);
}

void ReadBatch(Variables& variables, BatchOptions& batch) {
  variables.Millis("OTEL_BSP_SCHEDULE_DELAY", variables.Get("OTEL_BSP_SCHEDULE_DELAY"), batch.delay);
  variables.Millis("OTEL_EXPORTER_OTLP_TIMEOUT", variables.Exporter("TIMEOUT"), batch.timeout);
  Duration whole = std::chrono::seconds(30);
  variables.Millis("OTEL_BSP_EXPORT_TIMEOUT", variables.Get("OTEL_BSP_EXPORT_TIMEOUT"), whole);
  batch.timeout = std::min(batch.timeout, whole);
  variables.Number("OTEL_BSP_MAX_QUEUE_SIZE", variables.Get("OTEL_BSP_MAX_QUEUE_SIZE"), 1, 1e7, batch.queue_spans_max);
  variables.Number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", variables.Get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), 1, 1e6,
                   batch.batch_spans_max);
  batch.batch_spans_max = std::min(batch.batch_spans_max, batch.queue_spans_max);
}

void ReadResource(Variables& variables, Pairs& resource) {
  if (const auto text = variables.Get("OTEL_RESOURCE_ATTRIBUTES")) {
    std::optional<Pairs> pairs = ReadPairs(*text);
    const bool is_good = pairs && std::all_of(pairs->begin(), pairs->end(), [](const auto& pair) {
                           return IsUtf8(pair.first) && IsUtf8(pair.second);
                         });
    if (is_good) {
      for (auto& pair : *pairs) {
        std::erase_if(resource, [&pair](const auto& known) { return known.first == pair.first; });
        resource.push_back(std::move(pair));
      }
    } else {
      variables.Warn("OTEL_RESOURCE_ATTRIBUTES", "`key=value,key2=value2` with percent-encoded UTF-8");
    }
  }
  const bool has_name =
      std::any_of(resource.begin(), resource.end(), [](const auto& pair) { return pair.first == "service.name"; });
  const std::optional<std::string> name = variables.Get("OTEL_SERVICE_NAME");
  if (has_name && !name) return;
  std::erase_if(resource, [](const auto& pair) { return pair.first == "service.name"; });
  resource.emplace_back("service.name", name && IsUtf8(*name) ? *name : "millrace");
}

}  // namespace

StatusOr<Settings> MakeSettings(const v1::Tracing& config, const Environment& environment, Pairs origin) {
  Settings settings;
  settings.resource = std::move(origin);
  Variables variables(environment, settings.warnings);
  const std::string exporter = variables.Get("OTEL_TRACES_EXPORTER").value_or("");
  const std::optional<std::string> variable = variables.Exporter("ENDPOINT");
  const bool is_wanted = !config.endpoint().empty() || variable || exporter == "otlp";
  if (!is_wanted || exporter == "none" || variables.IsTrue("OTEL_SDK_DISABLED")) return settings;
  if (!exporter.empty() && exporter != "otlp") {
    return Refuse(fmt::format("OTEL_TRACES_EXPORTER is \"{}\"; only otlp and none are known", Excerpt(exporter)));
  }
  const std::string protocol = variables.Exporter("PROTOCOL").value_or("grpc");
  if (protocol != "grpc") {
    return Refuse(
        fmt::format("OTEL_EXPORTER_OTLP_PROTOCOL is \"{}\"; traces are sent by grpc only", Excerpt(protocol)));
  }
  settings.is_on = true;
  const std::string url = variable ? *variable : config.endpoint().empty() ? kDefaultEndpoint : config.endpoint();
  MR_RETURN_IF_ERROR(
      ReadEndpoint(url, variable ? "OTEL_EXPORTER_OTLP_ENDPOINT" : "tracing.endpoint", variables, settings.endpoint));
  const std::string compression = variables.Exporter("COMPRESSION").value_or("none");
  settings.endpoint.gzip = compression == "gzip";
  if (compression != "gzip" && compression != "none") {
    variables.Warn("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip or none");
  }
  if (config.has_sample_ratio()) settings.recorder.sampler.ratio = config.sample_ratio();
  if (config.has_slow_after()) settings.recorder.slow_after = ToDuration(config.slow_after());
  settings.recorder.records_content = config.content();
  // Prompts and answers are longer than what else is recorded.
  if (config.content()) settings.recorder.text_bytes_max = 64u << 10;
  ReadSampler(variables, settings.recorder.sampler);
  ReadBatch(variables, settings.batch);
  for (const char* name : {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"}) {
    variables.Number(name, variables.Get(name), 0, 1e6, settings.recorder.text_bytes_max);
  }
  const std::string propagators = variables.Get("OTEL_PROPAGATORS").value_or("tracecontext");
  settings.recorder.propagates = propagators.find("tracecontext") != std::string::npos;
  ReadResource(variables, settings.resource);
  return settings;
}

std::optional<std::string> ProcessEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace millrace::otlp
