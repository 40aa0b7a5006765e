#include "server/llm/repair.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "server/base/json.h"
#include "server/base/utf8.h"
#include "server/text/faulty_fields.h"

namespace millrace {
namespace {

// Bytes of the answer that are sent back: its tokens are paid for again.
constexpr size_t kAnswerBytesMax = 16u << 10;

}  // namespace

Repair PlanRepair(backend::Request question, std::string_view schema, const std::string& answer, const Status& fault,
                  bool may_ask_fields) {
  std::optional<FaultyFields> fields;
  if (may_ask_fields) fields = FindFaultyFields(answer, schema);
  std::string excerpt(Utf8Prefix(answer, kAnswerBytesMax));
  question.messages.push_back({.role = "assistant", .content = std::move(excerpt)});
  if (fields) {
    question.messages.push_back(
        {.role = "user",
         .content =
             fmt::format("These fields of the answer do not fit the schema:\n{}Answer with a JSON object that has "
                         "only these fields, with values that fit, and nothing else.",
                         fields->faults)});
    question.output_schema = std::move(fields->schema);
    return {.request = std::move(question), .answer = std::move(fields->answer)};
  }
  question.messages.push_back(
      {.role = "user",
       .content = fmt::format("{}.\nAnswer the question again with JSON that fits the schema, and nothing else.",
                              MessageOf(fault))});
  question.output_schema = std::string(schema);
  return {.request = std::move(question), .answer = {}};
}

Verdict JudgeFields(std::string text, std::string_view finish_reason, const Schema& whole, const Schema& part,
                    std::string_view answer) {
  // The fields first: if all others are optional, they also fit `whole`, but as an answer without the others.
  Verdict verdict = Judge(text, finish_reason, &part);
  if (verdict.remedy == Remedy::kRepair) {
    Verdict as_whole = Judge(std::move(text), finish_reason, &whole);
    return as_whole.remedy == Remedy::kNone ? as_whole : verdict;
  }
  if (verdict.remedy != Remedy::kNone) return verdict;
  StatusOr<std::string> merged = WithFields(answer, verdict.text);
  const StatusOr<json::value> value = merged.ok() ? ParseExact(*merged) : merged.status();
  verdict.status = value.ok() ? whole.Check(*value) : value.status();
  verdict.remedy = verdict.status.ok() ? Remedy::kNone : Remedy::kRepair;
  verdict.text = verdict.status.ok() ? *std::move(merged) : std::string();
  return verdict;
}

}  // namespace millrace
