#include "server/llm/completion.h"

#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "server/base/duration.h"

// GCC 12 takes the frames of coroutines for memory of another allocator (see server/llm/host.cc).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace millrace {
namespace {

constexpr int kMessagesMax = 1000;
constexpr size_t kMessageBytesMax = 4u << 20;

std::optional<FieldViolation> FindWrongField(const v1::GenerateRequest& request) {
  if (request.model().empty()) return FieldViolation{"model", "the alias of a model is needed"};
  if (request.messages().empty()) return FieldViolation{"messages", "at least one message is needed"};
  if (request.messages_size() > kMessagesMax) return FieldViolation{"messages", "at most 1,000"};
  size_t bytes = 0;
  for (int i = 0; i < request.messages_size(); ++i) {
    const v1::Message& message = request.messages(i);
    if (message.role() != "system" && message.role() != "user" && message.role() != "assistant") {
      return FieldViolation{fmt::format("messages[{}].role", i), "system, user or assistant"};
    }
    bytes += message.content().size();
  }
  if (bytes > kMessageBytesMax) return FieldViolation{"messages", "at most 4 MiB together"};
  if (request.max_tokens() < 0 || request.max_tokens() > 1'000'000) {
    return FieldViolation{"max_tokens", "1 to 1,000,000; 0: 1,024"};
  }
  if (request.has_temperature() && !(request.temperature() >= 0 && request.temperature() <= 2)) {
    return FieldViolation{"temperature", "0 to 2"};
  }
  if (request.has_top_p() && !(request.top_p() >= 0 && request.top_p() <= 1)) return FieldViolation{"top_p", "0 to 1"};
  if (request.has_repairs() && (request.repairs() < 0 || request.repairs() > 3)) {
    return FieldViolation{"repairs", "0 to 3"};
  }
  if (ToDuration(request.max_age()) < Duration(0)) return FieldViolation{"max_age", "at least 0"};
  return std::nullopt;
}

}  // namespace

Task<StatusOr<v1::GenerateResponse>> Complete(CallHandler& calls, Store& store, v1::GenerateRequest request,
                                              CallContext context) {
  if (const std::optional<FieldViolation> wrong = FindWrongField(request)) {
    co_return MakeFieldError(Reason::kInvalidField, wrong->field + ": " + wrong->description, {*wrong});
  }
  CallRequest call;
  call.model_alias = request.model();
  for (v1::Message& message : *request.mutable_messages()) {
    call.question.messages.push_back({std::move(*message.mutable_role()), std::move(*message.mutable_content())});
  }
  call.question.output_schema = std::move(*request.mutable_output_schema());
  if (request.max_tokens() > 0) call.question.max_tokens = request.max_tokens();
  if (request.has_temperature()) call.question.temperature = request.temperature();
  if (request.has_top_p()) call.question.top_p = request.top_p();
  if (request.has_seed()) call.question.seed = request.seed();
  call.question.sample_number = request.sample_number();
  if (request.has_repairs()) call.repairs = request.repairs();
  if (request.has_max_age()) context.cache_ttl = ToDuration(request.max_age());
  CallOutcome outcome = co_await calls.Handle(std::move(context), std::move(call));
  MR_CO_RETURN_IF_ERROR(co_await Commit(store, std::move(outcome.settlement)));
  MR_CO_RETURN_IF_ERROR(outcome.status);
  if (outcome.stopped) co_return MakeError(Reason::kCancelled, "the client left");
  v1::GenerateResponse response;
  response.set_text(std::move(outcome.text));
  response.set_backend(std::move(outcome.backend));
  response.set_model(std::move(outcome.model));
  response.set_cache_hit(outcome.cache_hit);
  response.set_coalesced(outcome.coalesced);
  if (!outcome.call_keys.empty()) response.set_call_key(outcome.call_keys.back().Hex());
  response.set_input_tokens(outcome.input_tokens);
  response.set_output_tokens(outcome.output_tokens);
  if (outcome.cost_nano_usd) response.set_cost_nano_usd(*outcome.cost_nano_usd);
  for (v1::Attempt& attempt : outcome.attempts) *response.add_attempts() = std::move(attempt);
  co_return response;
}

}  // namespace millrace

#pragma GCC diagnostic pop
