#include "server/api/answer_stream.h"

#include <utility>

namespace millrace::api {

void AnswerStream::Delta(std::string_view text) {
  is_cut_ = is_cut_ || waiting_.size() + text.size() > kWaitingMax;
  if (is_cut_) return;
  waiting_ += text;
  changed_.NotifyAll();
}

void AnswerStream::Restarted() {
  waiting_.clear();
  is_cut_ = false;
  if (!has_text_) return;
  has_text_ = false;
  is_restarted_ = true;
  changed_.NotifyAll();
}

void AnswerStream::End(StatusOr<v1::GenerateResponse> result) {
  result_ = std::move(result);
  changed_.NotifyAll();
}

Task<AnswerStream::Page> AnswerStream::Next() {
  while (waiting_.empty() && !is_restarted_ && !result_) co_await changed_.Wait();
  Page page;
  if (std::exchange(is_restarted_, false)) page.messages.emplace_back().mutable_restart();
  if (!waiting_.empty()) {
    page.messages.emplace_back().set_delta(std::exchange(waiting_, {}));
    has_text_ = true;
  }
  if (!result_) co_return page;
  page.end = result_->status();
  if (result_->ok()) *page.messages.emplace_back().mutable_answer() = *std::move(*result_);
  co_return page;
}

}  // namespace millrace::api
