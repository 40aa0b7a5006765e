#include "backends/local/local.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cmath>

#include "backends/local/embedding.h"
#include "backends/local/text.h"
#include "backends/sdk/http_call.h"
#include "backends/sdk/schema.h"
#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/base/utf8.h"
#include "server/base/work_meter.h"
#include "server/text/pattern.h"

namespace millrace::backend {
namespace {

// Limits for schemas that refer to themselves or double with each definition.
constexpr int kDepthMax = 32;
constexpr int kValuesMax = 10'000;
constexpr int64_t kTermsDefault = 5;
constexpr int64_t kCharactersDefault = 200;
constexpr size_t kPatternBytesMax = 4096;
constexpr int kCharactersPerToken = 4;
constexpr Duration kCpuMax = std::chrono::seconds(4);  // of one answer
constexpr int32_t kEmbedTextsMax = 128;

Manifest LocalManifest() {
  return {.kind = "local",
          .protocol_family = "local",
          .dialect_version = 2,
          .free_of_charge = true,
          .may_bill = false,
          .takes_local_annotations = true,
          .description = "Rules and statistics over the words of the question instead of a model."};
}

json::string_view View(std::string_view text) { return {text.data(), text.size()}; }
std::string_view View(const json::string& text) { return {text.data(), text.size()}; }

// Thrown for a schema or annotation that can't be followed.
struct Refusal {
  std::string message;
};

// Fills a schema with values from a text.
class Filling {
 public:
  Filling(const json::value& root, std::string_view text) : root_(root), text_(text) {}

  json::value Fill(const json::value& node, int depth = 0) {
    if (++values_ > kValuesMax) throw Refusal{"the schema needs more than 10,000 values"};
    const json::object& schema = *SchemaAt(root_, node);
    // An annotation may also be next to a reference.
    const json::value* annotation = node.is_object() ? node.get_object().if_contains("x-millrace-local") : nullptr;
    if (annotation == nullptr) annotation = schema.if_contains("x-millrace-local");
    if (annotation != nullptr) {
      std::optional<json::value> value = ByAnnotation(*annotation, schema);
      if (value && IsAllowed(*value, schema)) return *std::move(value);
    }
    return ByType(schema, depth);
  }

 private:
  // Returns false if there is an `enum` without this value.
  static bool IsAllowed(const json::value& value, const json::object& schema) {
    const json::value* values = schema.if_contains("enum");
    if (values == nullptr || !values->is_array()) return true;
    const json::array& allowed = values->get_array();
    return std::any_of(allowed.begin(), allowed.end(),
                       [&](const json::value& one) { return CanonicalJson(one) == CanonicalJson(value); });
  }

  // Returns nullopt if the annotation finds nothing.
  std::optional<json::value> ByAnnotation(const json::value& annotation, const json::object& schema) {
    if (const json::string* name = annotation.if_string()) {
      const std::vector<std::string_view> lines = Lines(text_);
      if (*name == "count_lines") return FromNumber(static_cast<int64_t>(lines.size()), schema);
      if (*name == "top_terms") return FromTerms(schema);
      if (*name == "first_line") return lines.empty() ? FromText("", schema) : FromText(lines[0], schema);
      if (*name == "longest_line") {
        const auto longest = std::max_element(lines.begin(), lines.end(),
                                              [](const auto& a, const auto& b) { return a.size() < b.size(); });
        return longest == lines.end() ? FromText("", schema) : FromText(*longest, schema);
      }
    } else if (const json::object* object = annotation.if_object(); object != nullptr && object->size() == 1) {
      if (const json::value* value = object->if_contains("const")) return *value;
      const json::value* pattern = object->if_contains("regex");
      if (pattern != nullptr && pattern->is_string()) return FromPattern(View(pattern->get_string()), schema);
    }
    throw Refusal{
        fmt::format("x-millrace-local: unknown annotation {}", Excerpt(std::string(json::serialize(annotation))))};
  }

  json::value FromText(std::string_view text, const json::object& schema) {
    const std::string_view type = TypeOf(schema);
    if (type == "array") return json::array{Element(text, schema)};
    if (type == "integer" || type == "number") {
      double number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      // from_chars also accepts `inf`, with which `Infantry` begins.
      if (error != std::errc() || !std::isfinite(number)) return Minimum(schema);
      if (type == "integer") return static_cast<int64_t>(std::clamp(number, -9e15, 9e15));
      return number;
    }
    if (type == "boolean") return !text.empty();
    return json::value(View(CutAt(text, CountOf(schema, "maxLength", 1'000'000))));
  }

  json::value FromNumber(int64_t number, const json::object& schema) {
    const std::string_view type = TypeOf(schema);
    if (type == "integer" || type == "number") return number;
    if (type == "boolean") return number != 0;
    return FromText(std::to_string(number), schema);
  }

  json::value FromTerms(const json::object& schema) {
    const int64_t count = std::max(CountOf(schema, "maxItems", kTermsDefault), CountOf(schema, "minItems", 0));
    const std::vector<std::string> terms = TopTerms(text_, static_cast<size_t>(count));
    if (TypeOf(schema) == "array") {
      json::array list;
      for (const std::string& term : terms) list.push_back(json::value(View(term)));
      return list;
    }
    std::string joined;
    for (const std::string& term : terms) joined += (joined.empty() ? "" : ", ") + term;
    return FromText(joined, schema);
  }

  std::optional<json::value> FromPattern(std::string_view text, const json::object& schema) {
    if (text.size() > kPatternBytesMax) throw Refusal{"x-millrace-local: the pattern is too long"};
    const StatusOr<Pattern> pattern = Pattern::Compile(text);
    if (!pattern.ok()) throw Refusal{fmt::format("x-millrace-local: {}", MessageOf(pattern.status()))};
    const int group = pattern->groups() > 0 ? 1 : 0;
    re2::StringPiece found[2];
    json::array list;
    for (size_t at = 0; pattern->Find(text_, at, found, group + 1);) {
      const std::string_view match(found[group].data(), found[group].size());
      if (TypeOf(schema) != "array") return FromText(match, schema);
      list.push_back(Element(match, schema));
      at = static_cast<size_t>(found[0].data() + found[0].size() - text_.data());
      if (found[0].empty()) at = NextCharacter(text_, at);
      if (at > text_.size() || static_cast<int64_t>(list.size()) >= CountOf(schema, "maxItems", 1000)) break;
    }
    if (!WorkStatus().ok()) throw Refusal{fmt::format("x-millrace-local: {}", MessageOf(WorkStatus()))};
    // A text without a match has an empty list, which is an answer unless the schema wants more.
    if (list.empty() && (TypeOf(schema) != "array" || CountOf(schema, "minItems", 0) > 0)) return std::nullopt;
    return list;
  }

  // Returns a text as an element of a list.
  json::value Element(std::string_view text, const json::object& list) {
    constexpr int64_t kLongest = 1'000'000;
    const json::value* items = list.if_contains("items");
    const int64_t most = items == nullptr ? kLongest : CountOf(*SchemaAt(root_, *items), "maxLength", kLongest);
    return json::value(View(CutAt(text, most)));
  }

  json::value ByType(const json::object& schema, int depth) {
    if (depth > kDepthMax) throw Refusal{"the schema is nested too deeply"};
    if (const json::value* value = schema.if_contains("const")) return *value;
    if (const json::value* values = schema.if_contains("enum"); values && values->is_array()) {
      return MostNamed(values->get_array());
    }
    const std::string_view type = TypeOf(schema);
    if (type == "object") return Object(schema, depth);
    if (type == "array") return List(schema, depth);
    if (type == "boolean") return false;
    if (type == "null") return nullptr;
    if (type == "integer" || type == "number") return Minimum(schema);
    const int64_t least = CountOf(schema, "minLength", 0);
    const int64_t most = CountOf(schema, "maxLength", std::max(least, kCharactersDefault));
    return json::value(View(FittingSentence(text_, least, most)));
  }

  int64_t TimesNamed(const json::value& value) const {
    return value.is_string() ? CountOfWord(text_, View(value.get_string()))
                             : CountOfWord(text_, std::string(json::serialize(value)));
  }

  json::value MostNamed(const json::array& values) {
    const json::value* best = nullptr;
    int64_t best_count = -1;
    for (const json::value& value : values) {
      const int64_t count = TimesNamed(value);
      if (count <= best_count) continue;
      best = &value;
      best_count = count;
    }
    return best == nullptr ? json::value() : *best;
  }

  // A property whose schema is being filled already would never end; it is left out unless it is required.
  json::value Object(const json::object& schema, int depth) {
    json::object object;
    const json::value* properties = schema.if_contains("properties");
    if (properties == nullptr || !properties->is_object()) return object;
    open_.push_back(&schema);
    for (const json::key_value_pair& property : properties->get_object()) {
      const bool endless = std::find(open_.begin(), open_.end(), SchemaAt(root_, property.value())) != open_.end();
      if (endless && !IsRequired(schema, property.key())) continue;
      object[property.key()] = Fill(property.value(), depth + 1);
    }
    open_.pop_back();
    return object;
  }

  static bool IsRequired(const json::object& schema, json::string_view name) {
    const json::value* required = schema.if_contains("required");
    if (required == nullptr || !required->is_array()) return false;
    const json::array& names = required->get_array();
    return std::any_of(names.begin(), names.end(),
                       [&](const json::value& one) { return one.is_string() && one.get_string() == name; });
  }

  json::value List(const json::object& schema, int depth) {
    const json::value* items = schema.if_contains("items");
    const json::object* item = items == nullptr ? nullptr : SchemaAt(root_, *items);
    if (item != nullptr && item->contains("enum")) return NamedValues(*item, schema);
    if (item == nullptr || TypeOf(*item) == "string") return FromTerms(schema);
    json::array list;
    for (int64_t i = 0; i < std::min<int64_t>(CountOf(schema, "minItems", 0), 100); ++i) {
      list.push_back(Fill(*items, depth + 1));
    }
    return list;
  }

  // Returns the values of an `enum` that the text names, most frequent first, then others up to the required minimum.
  json::value NamedValues(const json::object& item, const json::object& schema) {
    std::vector<std::pair<int64_t, const json::value*>> values;
    if (const json::array* all = item.at("enum").if_array()) {
      for (const json::value& value : *all) values.emplace_back(TimesNamed(value), &value);
    }
    std::stable_sort(values.begin(), values.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    const int64_t least = CountOf(schema, "minItems", 0);
    const int64_t most = std::max(least, CountOf(schema, "maxItems", kTermsDefault));
    json::array list;
    for (const auto& [count, value] : values) {
      const auto size = static_cast<int64_t>(list.size());
      if (size < (count > 0 ? most : least)) list.push_back(*value);
    }
    return list;
  }

  static json::value Minimum(const json::object& schema) {
    if (const json::value* minimum = schema.if_contains("minimum"); minimum && minimum->is_number()) return *minimum;
    if (const json::value* above = schema.if_contains("exclusiveMinimum"); above && above->is_int64()) {
      return above->get_int64() + 1;
    }
    return 0;
  }

  const json::value& root_;
  const std::string_view text_;
  int values_ = 0;                         // values made so far
  std::vector<const json::object*> open_;  // schemas of the objects around the current value
};

std::string QuestionText(const Request& request) {
  for (const Message& message : request.messages) {
    if (message.role == "user") return message.content;
  }
  return "";
}

Action Answered(const Request& request) {
  const std::string text = QuestionText(request);
  Answer answer;
  if (request.output_schema.empty()) {
    answer.text = FittingSentence(text, 0, int64_t{kCharactersPerToken} * request.max_tokens);
  } else {
    const auto schema = ParseJson(request.output_schema);
    if (!schema.ok()) {
      return Fail{{.outcome = Outcome::kRefused,
                   .reason = Reason::kRequestRefused,
                   .message = fmt::format("the schema: {}", MessageOf(schema.status())),
                   .retry_after = {},
                   .http_status = 0}};
    }
    const WorkMeter meter({.cpu = kCpuMax, .name = "making the answer", .reason = Reason::kRequestRefused});
    try {
      answer.text = json::serialize(Filling(*schema, text).Fill(*schema));
    } catch (const Refusal& refusal) {
      return Fail{{.outcome = Outcome::kRefused,
                   .reason = Reason::kRequestRefused,
                   .message = refusal.message,
                   .retry_after = {},
                   .http_status = 0}};
    }
  }
  answer.input_tokens = 0;  // no tokens are billed
  answer.output_tokens = 0;
  return Done{std::move(answer)};
}

class LocalExchange final : public Exchange {
 public:
  explicit LocalExchange(const Request& request) : request_(request) {}
  Action Next(Input) override { return Answered(request_); }

 private:
  const Request request_;
};

class LocalEmbedding final : public Exchange {
 public:
  explicit LocalEmbedding(const EmbedRequest& request) : request_(request) {}

  Action Next(Input) override {
    Answer answer;
    for (const std::string& text : request_.texts) {
      answer.vectors.push_back(EmbedText(text, request_.dimensions.value_or(kDimensionsDefault)));
    }
    answer.input_tokens = 0;  // no tokens are billed
    answer.output_tokens = 0;
    return Done{std::move(answer)};
  }

 private:
  const EmbedRequest request_;
};

class LocalBackend final : public Backend {
 public:
  const Manifest& manifest() const override { return manifest_; }
  EmbedLimits embed_limits(std::string_view) const override { return {.texts = kEmbedTextsMax, .tokens = 0}; }
  std::unique_ptr<Exchange> Start(const Question& question, uint64_t) override {
    if (const auto* embed = std::get_if<EmbedRequest>(&question)) return std::make_unique<LocalEmbedding>(*embed);
    return std::make_unique<LocalExchange>(std::get<Request>(question));
  }

 private:
  const Manifest manifest_ = LocalManifest();
};

}  // namespace

std::unique_ptr<Backend> MakeLocal() { return std::make_unique<LocalBackend>(); }

BackendKind LocalKind() {
  return {.name = "local", .make = [](const v1::BackendConfig&) { return MakeLocal(); }};
}

}  // namespace millrace::backend
