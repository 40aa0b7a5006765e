#include "server/llm/host.h"

#include <absl/strings/escaping.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "backends/sdk/deferred.h"
#include "backends/sdk/http_call.h"
#include "server/base/json.h"
#include "server/base/run_if_long.h"
#include "server/llm/authorize.h"
#include "server/llm/classify.h"
#include "server/llm/validate.h"
#include "server/llm/vectors.h"

// GCC 12 takes Asio's allocator of coroutine frames for another one than that which frees them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace millrace {
namespace {

// Returns the bytes that an exchange works on when it begins.
size_t BytesOf(const backend::Question& question) {
  const size_t bytes = backend::QuestionBytes(question);
  const auto* embed = std::get_if<backend::EmbedRequest>(&question);
  if (embed == nullptr) return bytes;
  // A backend without a provider makes the vectors itself.
  return std::max(bytes, embed->texts.size() * static_cast<size_t>(embed->dimensions.value_or(0)) * sizeof(float));
}

// Returns whether the exchange itself may compute for long: it fills a schema with the matches of its patterns.
bool MayComputeLong(const AttemptOrder& order) {
  const auto* request = std::get_if<backend::Request>(&order.question);
  return request != nullptr && order.entry->backend->manifest().takes_local_annotations &&
         request->output_schema.find("regex") != std::string::npos;
}

backend::Failure NotSent(std::string message) {
  return {.outcome = backend::Outcome::kNotSent,
          .reason = Reason::kTargetFailed,
          .message = std::move(message),
          .retry_after = {},
          .http_status = 0};
}

// The failure of an exchange that breaks the rules of backends/sdk/backend.h.
backend::Failure BrokenExchange(int http_status) {
  return {.outcome = backend::Outcome::kAnsweredBad,
          .reason = Reason::kBadResponse,
          .message = "the backend has an error: its exchange gave an action that is not possible here",
          .retry_after = {},
          .http_status = http_status};
}

// Returns the numbers of a vector in base64; none if it can't be read, so that its answer is judged bad.
std::vector<float> VectorIn(const json::value& packed) {
  std::string bytes;
  if (!packed.is_string()) return {};
  const json::string& text = packed.get_string();
  if (!absl::Base64Unescape(absl::string_view(text.data(), text.size()), &bytes)) return {};
  return UnpackVector(bytes).value_or(std::vector<float>());
}

bool IsEnd(const backend::Action& action) {
  return std::holds_alternative<backend::Done>(action) || std::holds_alternative<backend::Fail>(action);
}

}  // namespace

std::string PackAnswer(const backend::Answer& answer) {
  json::object object;
  object["finish_reason"] = FinishReasonName(answer.finish_reason);
  if (answer.input_tokens) object["input_tokens"] = *answer.input_tokens;
  if (answer.output_tokens) object["output_tokens"] = *answer.output_tokens;
  if (!answer.reported_model.empty()) object["model"] = answer.reported_model;
  object["text"] = answer.text;
  if (!answer.vectors.empty()) {
    json::array& vectors = object["vectors"].emplace_array();
    for (const std::vector<float>& vector : answer.vectors) {
      vectors.push_back(json::string(absl::Base64Escape(PackVector(vector))));
    }
  }
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
  if (const json::value* vectors = object->if_contains("vectors"); vectors && vectors->is_array()) {
    for (const json::value& packed : vectors->get_array()) answer.vectors.push_back(VectorIn(packed));
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

AttemptResult Reparse(backend::Exchange& exchange, RawAnswer answer) {
  if (answer.http_status == 0) return UnpackAnswer(answer.body);
  backend::Action action = backend::ReadStored(
      exchange, {.status = answer.http_status, .headers = std::move(answer.headers), .body = std::move(answer.body)});
  if (auto* done = std::get_if<backend::Done>(&action)) return std::move(done->answer);
  return std::move(std::get<backend::Fail>(action).failure);
}

struct Host::Attempt {
  const AttemptOrder& order;
  AttemptMoments& moments;
  const std::shared_ptr<backend::Exchange> exchange;
  const TimePoint deadline;
  bool is_started = false;   // moment (a)
  bool is_answered = false;  // moment (b)
  size_t given = 0;          // bytes of the text that its deltas gave
};

// Gives a response to the exchange as it comes. Keeps the body of one that is to be stored.
class Host::Response final : public HttpSink {
 public:
  Response(Host& host, Attempt& attempt, bool billable) : host_(host), attempt_(attempt), billable_(billable) {}

  Task<bool> Head(int status, HttpHeaders headers) override {
    attempt_.moments.Received();
    status_ = status;
    date_ = std::string(FindHeader(headers, "date"));
    if (billable_ && status >= 200 && status < 300) {
      raw_.emplace().http_status = status;
      for (const std::string& name : attempt_.order.entry->backend->manifest().kept_headers) {
        const std::string_view value = FindHeader(headers, name);
        if (!value.empty()) raw_->headers.emplace_back(name, std::string(value));
      }
    }
    backend::Input head = backend::Head{.status = status, .headers = std::move(headers)};
    co_return co_await Give(std::move(head), 0);
  }

  Task<bool> Body(std::string bytes) override {
    attempt_.moments.Received();
    if (raw_) raw_->body += bytes;
    const size_t size = bytes.size();
    unread_ += size;
    backend::Input input = backend::Bytes{std::move(bytes)};
    co_return co_await Give(std::move(input), size);
  }

  // Returns the raw answer; nullopt if it is not to be stored.
  std::optional<RawAnswer> TakeRaw() { return std::exchange(raw_, std::nullopt); }
  // Returns the action with which the exchange ended the response before its end.
  backend::Action TakeAction() { return std::move(action_); }
  int status() const { return status_; }
  const std::string& date() const { return date_; }
  // Bytes that came since the exchange last gave a part of the text: for a body that is read as a whole, all of it.
  size_t unread() const { return unread_; }

 private:
  Task<bool> Give(backend::Input input, size_t bytes) {
    action_ = co_await host_.Next(attempt_.exchange, std::move(input), bytes);
    const auto* more = std::get_if<backend::More>(&action_);
    if (more != nullptr && !more->delta.empty()) {
      unread_ = 0;
      attempt_.given += more->delta.size();
      attempt_.moments.Delta(more->delta);
    }
    co_return more != nullptr;
  }

  Host& host_;
  Attempt& attempt_;
  const bool billable_;
  int status_ = 0;
  std::string date_;
  std::optional<RawAnswer> raw_;
  backend::Action action_;
  size_t unread_ = 0;
};

Task<AttemptResult> Host::Send(AttemptOrder order, AttemptMoments& moments) {
  Attempt attempt{.order = order,
                  .moments = moments,
                  .exchange = order.exchange ? order.exchange
                                             : std::shared_ptr(order.entry->backend->Start(order.question, order.seed)),
                  .deadline = loop_.Now() + order.timeouts.total};
  backend::Input resume = backend::Resume();
  // Named: GCC 12 would destroy a temporary twice.
  backend::Action action;
  if (MayComputeLong(order)) {
    auto next = [exchange = attempt.exchange, resume = std::move(resume)]() mutable {
      return exchange->Next(std::move(resume));
    };
    action = co_await Compute(loop_, slow_pool_, std::move(next));
  } else {
    action = co_await Next(attempt.exchange, std::move(resume), BytesOf(order.question));
  }
  while (!IsEnd(action)) {
    auto* send = std::get_if<backend::SendHttp>(&action);
    auto* wait = std::get_if<backend::Wait>(&action);
    if (send == nullptr && wait == nullptr) {
      action = backend::Fail{BrokenExchange(0)};
      break;
    }
    if ((wait != nullptr ? wait->billable : send->billable) && !attempt.is_started) {
      attempt.is_started = co_await moments.Started();
      if (!attempt.is_started) {
        action = backend::Fail{NotSent("nobody waits for it any more")};
        break;
      }
    }
    if (wait != nullptr) {
      const backend::Wait asked = *wait;
      action = co_await Perform(attempt, asked);
    } else {
      backend::SendHttp asked = std::move(*send);
      action = co_await Perform(attempt, std::move(asked));
    }
  }
  if (auto* done = std::get_if<backend::Done>(&action)) {
    const std::string& text = done->answer.text;
    const auto* request = std::get_if<backend::Request>(&attempt.order.question);
    const bool is_read = request != nullptr && request->wants_deltas;
    if (is_read && attempt.given < text.size()) moments.Delta(std::string_view(text).substr(attempt.given));
    if (attempt.is_started && !attempt.is_answered) {  // a provider without I/O
      moments.Ended();
      RawAnswer raw{.http_status = 0, .headers = {}, .body = PackAnswer(done->answer)};
      co_await moments.Answered(std::move(raw));
    }
    co_return std::move(done->answer);
  }
  moments.Ended();
  backend::Failure failure = std::move(std::get<backend::Fail>(action).failure);
  // What a provider says may repeat what we sent.
  failure.message = order.entry->secret.Redact(std::move(failure.message));
  co_return std::move(failure);
}

Task<backend::Action> Host::Perform(Attempt& attempt, backend::Wait wait) {
  const TimePoint until = std::min(loop_.Now() + wait.duration, attempt.deadline);
  const bool is_late = until == attempt.deadline && loop_.Now() + wait.duration > attempt.deadline;
  if (until > loop_.Now()) co_await loop_.SleepUntil(until);
  if (is_late) {
    backend::Failure failure = NotSent("no answer within the time limit");
    if (wait.billable) failure.outcome = backend::Outcome::kUnknown;
    co_return backend::Fail{std::move(failure)};
  }
  backend::Input resume = backend::Resume();
  co_return co_await Next(attempt.exchange, std::move(resume), 0);
}

Task<backend::Action> Host::Perform(Attempt& attempt, backend::SendHttp send) {
  const AttemptOrder& order = attempt.order;
  HttpRequest request{.method = std::move(send.method),
                      .url = std::move(send.url),
                      .headers = std::move(send.headers),
                      .body = std::move(send.body)};
  auto authorized = co_await Authorize(*order.entry, std::move(send.auth), std::move(request));
  if (auto* refused = std::get_if<backend::Failure>(&authorized)) co_return backend::Fail{std::move(*refused)};
  auto& [signed_request, aws_keys] = std::get<Authorized>(authorized);
  // After the signature, which would break if somebody on the way changed them.
  signed_request.headers.insert(signed_request.headers.end(), order.headers.begin(), order.headers.end());
  HttpLimits limits;
  limits.connect = order.timeouts.connect;
  limits.first_byte = order.timeouts.first_byte;
  limits.idle = order.timeouts.idle;
  limits.deadline = attempt.deadline;
  limits.body_bytes_max = limits_.response_bytes_max;
  limits.stop = order.stop;
  Response response(*this, attempt, send.billable);
  const HttpResult result = co_await http_.Send(std::move(signed_request), std::move(limits), response);
  backend::Action action = co_await Conclude(attempt, result, response);
  if (auto* fail = std::get_if<backend::Fail>(&action)) {
    TakeRefusal(*order.entry, aws_keys, response.date(), fail->failure);
  }
  co_return action;
}

Task<backend::Action> Host::Conclude(Attempt& attempt, const HttpResult& result, Response& response) {
  const bool is_ended = result.outcome == HttpOutcome::kEnded;
  if (!is_ended && result.outcome != HttpOutcome::kAnswered) co_return backend::Fail{FailureOf(result)};
  if (is_ended) {
    backend::Action action = response.TakeAction();
    if (std::holds_alternative<backend::Fail>(action)) co_return action;
    if (!std::holds_alternative<backend::Done>(action)) co_return backend::Fail{BrokenExchange(response.status())};
    std::optional<RawAnswer> raw = response.TakeRaw();
    if (raw) co_await Store(attempt, *std::move(raw));
    co_return action;
  }
  std::optional<RawAnswer> raw = response.TakeRaw();
  if (raw) co_await Store(attempt, *std::move(raw));
  backend::Input end = backend::End();
  backend::Action action = co_await Next(attempt.exchange, std::move(end), response.unread());
  if (std::holds_alternative<backend::More>(action)) co_return backend::Fail{BrokenExchange(response.status())};
  co_return action;
}

Task<void> Host::Store(Attempt& attempt, RawAnswer raw) {
  attempt.is_answered = true;
  attempt.moments.Ended();
  co_await attempt.moments.Answered(std::move(raw));
}

Task<backend::Action> Host::Next(std::shared_ptr<backend::Exchange> exchange, backend::Input input, size_t bytes) {
  // Nobody else touches the exchange while this waits for it.
  auto next = [exchange, input = std::move(input)]() mutable { return exchange->Next(std::move(input)); };
  co_return co_await RunIfLong(loop_, pool_, bytes, std::move(next));
}

}  // namespace millrace

#pragma GCC diagnostic pop
