#include "server/llm/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "server/base/json.h"
#include "server/base/run_if_long.h"
#include "server/http/url.h"
#include "server/llm/classify.h"
#include "server/llm/validate.h"

namespace millrace {
namespace {

size_t BytesOf(const backend::Request& request) {
  size_t bytes = request.output_schema.size();
  for (const backend::Message& message : request.messages) bytes += message.content.size();
  return bytes;
}

backend::Failure NotSent(std::string message) {
  return {.outcome = backend::Outcome::kNotSent,
          .reason = Reason::kTargetFailed,
          .message = std::move(message),
          .retry_after = {},
          .http_status = 0};
}

}  // namespace

std::string PackAnswer(const backend::Answer& answer) {
  json::object object;
  object["finish_reason"] = FinishReasonName(answer.finish_reason);
  if (answer.input_tokens) object["input_tokens"] = *answer.input_tokens;
  if (answer.output_tokens) object["output_tokens"] = *answer.output_tokens;
  if (!answer.reported_model.empty()) object["model"] = answer.reported_model;
  object["text"] = answer.text;
  return json::serialize(object);
}

AttemptResult UnpackAnswer(const std::string& raw) {
  const auto value = ParseJson(raw);
  const json::object* object = value.ok() ? value->if_object() : nullptr;
  const json::value* text = object == nullptr ? nullptr : object->if_contains("text");
  if (text == nullptr || !text->is_string()) {
    return backend::Failure{.outcome = backend::Outcome::kAnsweredBad,
                            .reason = Reason::kBadResponse,
                            .message = "a stored answer can't be read",
                            .retry_after = {},
                            .http_status = 0};
  }
  backend::Answer answer;
  answer.text = std::string(text->get_string());
  if (const json::value* reason = object->if_contains("finish_reason"); reason && reason->is_string()) {
    answer.finish_reason = FinishReasonOf(std::string(reason->get_string()));
  }
  if (const json::value* tokens = object->if_contains("input_tokens"); tokens && tokens->is_int64()) {
    answer.input_tokens = tokens->get_int64();
  }
  if (const json::value* tokens = object->if_contains("output_tokens"); tokens && tokens->is_int64()) {
    answer.output_tokens = tokens->get_int64();
  }
  if (const json::value* model = object->if_contains("model"); model && model->is_string()) {
    answer.reported_model = std::string(model->get_string());
  }
  return answer;
}

void SetRawAnswer(storage::v1::PendingRecord& record, RawAnswer answer) {
  record.mutable_attempt()->set_http_status(answer.http_status);
  record.set_raw(std::move(answer.body));
  for (auto& [name, value] : answer.headers) {
    storage::v1::KeptHeader& header = *record.add_headers();
    header.set_name(std::move(name));
    header.set_value(std::move(value));
  }
}

RawAnswer RawAnswerOf(const storage::v1::PendingRecord& record) {
  RawAnswer answer{.http_status = record.attempt().http_status(), .headers = {}, .body = record.raw()};
  for (const storage::v1::KeptHeader& header : record.headers()) {
    answer.headers.emplace_back(header.name(), header.value());
  }
  return answer;
}

AttemptResult Reparse(backend::Backend& backend, const backend::Request& request, RawAnswer answer) {
  const int http_status = answer.http_status;
  if (http_status == 0) return UnpackAnswer(answer.body);
  const backend::HttpAnswered answered{
      .status = http_status, .headers = std::move(answer.headers), .body = std::move(answer.body)};
  backend::Action action = backend.Reparse(request, answered);
  if (auto* done = std::get_if<backend::Done>(&action)) return std::move(done->answer);
  if (auto* fail = std::get_if<backend::Fail>(&action)) return std::move(fail->failure);
  return backend::Failure{.outcome = backend::Outcome::kAnsweredBad,
                          .reason = Reason::kBadResponse,
                          .message = "a stored answer is not an answer of the protocol",
                          .retry_after = {},
                          .http_status = http_status};
}

Task<AttemptResult> Host::Send(AttemptOrder order, AttemptMoments& moments) {
  const TimePoint deadline = loop_.Now() + order.timeouts.total;
  const std::shared_ptr<backend::Exchange> exchange = order.entry->backend->Start(order.request, order.seed);
  backend::Input input = backend::Resume();
  size_t bytes = BytesOf(order.request);
  bool is_started = false;
  bool is_answered = false;
  backend::Failure failure;
  while (true) {
    backend::Action action = co_await Next(exchange, std::move(input), bytes);
    if (auto* done = std::get_if<backend::Done>(&action)) {
      if (is_started && !is_answered) {  // a provider without I/O
        moments.Ended();
        RawAnswer raw{.http_status = 0, .headers = {}, .body = PackAnswer(done->answer)};
        co_await moments.Answered(std::move(raw));
      }
      co_return std::move(done->answer);
    }
    if (auto* fail = std::get_if<backend::Fail>(&action)) {
      failure = std::move(fail->failure);
      break;
    }
    const auto* wait = std::get_if<backend::Wait>(&action);
    auto* send = std::get_if<backend::SendHttp>(&action);
    if ((wait != nullptr ? wait->billable : send->billable) && !is_started) {
      is_started = co_await moments.Started();
      if (!is_started) {
        failure = NotSent("nobody waits for it any more");
        break;
      }
    }
    if (wait != nullptr) {
      const TimePoint until = std::min(loop_.Now() + wait->duration, deadline);
      const bool is_late = until == deadline && loop_.Now() + wait->duration > deadline;
      if (until > loop_.Now()) co_await loop_.SleepUntil(until);
      if (is_late) {
        failure = NotSent("no answer within the time limit");
        if (wait->billable) failure.outcome = backend::Outcome::kUnknown;
        break;
      }
      input = backend::Resume();
      continue;
    }
    const bool billable = send->billable;
    HttpResult result = co_await SendHttp(*order.entry, *send, order.timeouts, deadline);
    if (result.outcome != HttpOutcome::kAnswered) {
      failure = FailureOf(result);
      break;
    }
    bytes = result.body.size();
    if (billable && result.status >= 200 && result.status < 300) {
      is_answered = true;
      moments.Ended();
      RawAnswer raw{.http_status = result.status, .headers = {}, .body = result.body};
      for (const std::string& name : order.entry->backend->manifest().kept_headers) {
        const std::string_view value = FindHeader(result.headers, name);
        if (!value.empty()) raw.headers.emplace_back(name, std::string(value));
      }
      co_await moments.Answered(std::move(raw));
    }
    input = backend::HttpAnswered{
        .status = result.status, .headers = std::move(result.headers), .body = std::move(result.body)};
  }
  moments.Ended();
  // What a provider says may repeat what we sent.
  failure.message = order.entry->secret.Redact(std::move(failure.message));
  co_return std::move(failure);
}

Task<HttpResult> Host::SendHttp(const BackendEntry& entry, backend::SendHttp& send, const CallTimeouts& timeouts,
                                TimePoint deadline) {
  HttpRequest request{.method = std::move(send.method),
                      .url = std::move(send.url),
                      .headers = std::move(send.headers),
                      .body = std::move(send.body)};
  if (!send.secret_header.empty()) {
    if (entry.secret_origin.empty() || OriginOf(request.url) != entry.secret_origin) {
      HttpResult refused;
      refused.error = "the backend's secret is for another host";
      co_return refused;
    }
    if (!entry.secret.empty()) {
      request.headers.emplace_back(send.secret_header, send.secret_scheme + std::string(entry.secret.Reveal()));
    }
  }
  HttpLimits limits;
  limits.connect = timeouts.connect;
  limits.first_byte = timeouts.first_byte;
  limits.idle = timeouts.idle;
  limits.deadline = deadline;
  limits.body_bytes_max = limits_.response_bytes_max;
  HttpResult result = co_await http_.Send(std::move(request), limits, nullptr);
  co_return std::move(result);
}

Task<backend::Action> Host::Next(std::shared_ptr<backend::Exchange> exchange, backend::Input input, size_t bytes) {
  // Nobody else touches the exchange while this waits for it.
  auto next = [exchange, input = std::move(input)]() mutable { return exchange->Next(std::move(input)); };
  co_return co_await RunIfLong(loop_, pool_, bytes, std::move(next));
}

}  // namespace millrace
