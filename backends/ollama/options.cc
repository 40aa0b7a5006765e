#include "backends/ollama/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/text/nearest.h"

namespace millrace::backend::ollama {
namespace {

enum class Type { kInteger, kNumber, kBoolean, kTexts };
enum class Effect {
  kAnswer,  // changes answers, so it is part of a call's key
  kLoad,    // a setting with which the model is loaded
  kNone,    // changes nothing in an answer that this backend accepts
};

struct Known {
  std::string_view name;
  Type type;
  Effect effect;
  double min;
};

constexpr double kAny = -2147483648.0;  // the server reads integers of 32 bits
constexpr double kMost = 2147483647.0;

constexpr Known kKnown[] = {
    {"num_ctx", Type::kInteger, Effect::kLoad, 1},
    {"num_batch", Type::kInteger, Effect::kLoad, 1},
    {"num_gpu", Type::kInteger, Effect::kLoad, -1},
    {"main_gpu", Type::kInteger, Effect::kLoad, 0},
    {"use_mmap", Type::kBoolean, Effect::kLoad, 0},
    {"num_thread", Type::kInteger, Effect::kLoad, 0},
    {"draft_num_predict", Type::kInteger, Effect::kLoad, 0},
    {"num_predict", Type::kInteger, Effect::kAnswer, -2},
    {"num_keep", Type::kInteger, Effect::kNone, -1},
    {"temperature", Type::kNumber, Effect::kAnswer, 0},
    {"top_k", Type::kInteger, Effect::kAnswer, kAny},
    {"top_p", Type::kNumber, Effect::kAnswer, 0},
    {"min_p", Type::kNumber, Effect::kAnswer, 0},
    {"typical_p", Type::kNumber, Effect::kAnswer, 0},
    {"seed", Type::kInteger, Effect::kAnswer, kAny},
    {"repeat_last_n", Type::kInteger, Effect::kAnswer, -1},
    {"repeat_penalty", Type::kNumber, Effect::kAnswer, kAny},
    {"presence_penalty", Type::kNumber, Effect::kAnswer, kAny},
    {"frequency_penalty", Type::kNumber, Effect::kAnswer, kAny},
    {"stop", Type::kTexts, Effect::kAnswer, 0},
};

// Options of earlier versions, which servers since 0.7 ignore.
struct Removed {
  std::string_view name;
  std::string_view instead;
};

constexpr std::string_view kSampling = "use `min_p` or `top_p` instead";
constexpr Removed kRemoved[] = {
    {"f16_kv", "set OLLAMA_KV_CACHE_TYPE of the server instead (f16, q8_0 or q4_0)"},
    {"low_vram", "lower `num_gpu`, the number of layers on the GPU, instead"},
    {"use_mlock", "set `use_mmap: false` to load the whole model into memory instead"},
    {"numa", "nothing replaces it"},
    {"logits_all", "nothing replaces it; it had no effect on answers"},
    {"vocab_only", "nothing replaces it; it had no effect on answers"},
    {"mirostat", kSampling},
    {"mirostat_eta", kSampling},
    {"mirostat_tau", kSampling},
    {"tfs_z", kSampling},
    {"penalize_newline", "use `repeat_penalty` instead"},
};

// Members of a request that are not options of the model, and the field of the configuration that sets each.
constexpr Removed kElsewhere[] = {
    {"keep_alive", "write `keep_alive` beside `options`"},
    {"think", "write `think` beside `options`"},
    {"format", "the output schema of the pipeline's stage is sent as `format`"},
    {"stream", "answers are always streamed"},
    {"truncate", "prompts are never truncated"},
    {"shift", "the context is never shifted"},
};

template <typename Row, size_t size>
const Row* Find(const Row (&table)[size], std::string_view name) {
  const auto found = std::find_if(std::begin(table), std::end(table), [&](const Row& row) { return row.name == name; });
  return found == std::end(table) ? nullptr : found;
}

std::vector<std::string> KnownNames() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.name);
  return names;
}

std::string_view View(json::string_view text) { return {text.data(), text.size()}; }

// Returns an object of the configuration; empty if there is none.
json::object ObjectOf(const std::string& text) {
  if (text.empty()) return {};
  StatusOr<json::value> value = ParseJson(text);
  return value.ok() && value->is_object() ? std::move(value->get_object()) : json::object();
}

bool IsObject(const std::string& text) {
  const StatusOr<json::value> value = ParseJson(text);
  return text.empty() || (value.ok() && value->is_object());
}

bool IsText(const json::value& value) { return value.is_string(); }

// Returns what a value should have been; empty if it is right.
std::string Wrong(const Known& known, const json::value& value) {
  switch (known.type) {
    case Type::kBoolean:
      return value.is_bool() ? "" : "expected true or false";
    case Type::kTexts:
      if (value.is_array() && std::all_of(value.get_array().begin(), value.get_array().end(), IsText)) return "";
      return "expected a list of texts";
    case Type::kInteger:
    case Type::kNumber:
      break;
  }
  const bool is_integer = known.type == Type::kInteger;
  const std::string expected = is_integer ? "expected a whole number" : "expected a number";
  if (!value.is_number()) return expected;
  const double number = value.is_double() ? value.get_double() : value.to_number<double>();
  if (is_integer && number != std::floor(number)) return expected;
  if (number >= known.min && number <= kMost) return "";
  return known.min == kAny ? expected + " of 32 bits" : fmt::format("{} from {} to {}", expected, known.min, kMost);
}

void CheckOption(const std::string& name, const json::value& value, std::vector<FieldViolation>& violations) {
  const std::string field = fmt::format("options.{}", Excerpt(name));
  if (const Removed* elsewhere = Find(kElsewhere, name)) {
    violations.push_back({field, fmt::format("is not an option of a model; {}", elsewhere->instead)});
  } else if (const Known* known = Find(kKnown, name)) {
    const std::string wrong = Wrong(*known, value);
    if (!wrong.empty()) violations.push_back({field, wrong});
  } else if (Find(kRemoved, name) == nullptr) {
    violations.push_back({field, fmt::format("unknown option{}; to send it anyway, write it under options_unchecked",
                                             DidYouMean(name, KnownNames()))});
  }
}

std::string LoadWarning(const std::vector<std::string>& names) {
  return fmt::format(
      "Ollama loads a model again if the next request has another value of {}; use equal values for all "
      "that call the model",
      fmt::join(names, ", "));
}

}  // namespace

void CheckOptions(const v1::OllamaBackend& config, std::vector<FieldViolation>& violations) {
  if (!IsObject(config.options())) violations.push_back({"options", "expected a mapping of names to values"});
  for (const auto& [name, value] : ObjectOf(config.options())) CheckOption(std::string(name), value, violations);
  if (!IsObject(config.options_unchecked())) {
    violations.push_back({"options_unchecked", "expected a mapping of names to values"});
  }
  for (const auto& member : ObjectOf(config.options_unchecked())) {
    if (Find(kKnown, View(member.key())) == nullptr) continue;
    violations.push_back({fmt::format("options_unchecked.{}", View(member.key())),
                          "is known; write it under options, where its value is checked"});
  }
}

Options ReadOptions(const v1::OllamaBackend& config) {
  Options options;
  json::object for_key;
  std::vector<std::string> at_load;
  for (const auto& [name, value] : ObjectOf(config.options())) {
    if (const Removed* removed = Find(kRemoved, View(name))) {
      options.warnings.push_back(
          fmt::format("option `{}` does nothing since Ollama 0.7 and is not sent; {}", View(name), removed->instead));
      continue;
    }
    const Known* known = Find(kKnown, View(name));
    if (known == nullptr) continue;  // can't happen: CheckOptions refuses it
    if (known->effect == Effect::kLoad) at_load.push_back(fmt::format("`{}`", known->name));
    if (known->effect == Effect::kAnswer) for_key[name] = value;
    if (known->name == "num_ctx") {
      options.num_ctx = value.to_number<int64_t>();
    } else if (known->name == "num_predict") {
      options.num_predict = value.to_number<int64_t>();
    } else {
      options.sent[name] = value;
    }
  }
  if (!at_load.empty()) options.warnings.push_back(LoadWarning(at_load));
  for (const auto& [name, value] : ObjectOf(config.options_unchecked())) {
    options.sent[name] = value;
    for_key[name] = value;
  }
  if (!config.think().empty() && config.think() != "false") for_key["think"] = json::string(config.think());
  if (!for_key.empty()) options.for_key = CanonicalJson(json::value(std::move(for_key)));
  return options;
}

}  // namespace millrace::backend::ollama
