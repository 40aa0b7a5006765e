#include "backends/sdk/deferred.h"

#include <utility>

namespace millrace::backend {
namespace {

// Questions from this length on get their first input on another thread (server/base/run_if_long.h).
constexpr size_t kLongBytes = 64u << 10;

class DeferredExchange final : public Exchange {
 public:
  DeferredExchange(Question question, std::function<std::unique_ptr<Exchange>(const Question&)> begin)
      : question_(std::move(question)), begin_(std::move(begin)) {}

  Action Next(Input input) override {
    if (inner_ == nullptr) {
      inner_ = begin_(question_);
      question_ = Question();  // the exchange has what it needs
    }
    return inner_->Next(std::move(input));
  }

 private:
  Question question_;
  const std::function<std::unique_ptr<Exchange>(const Question&)> begin_;
  std::unique_ptr<Exchange> inner_;
};

}  // namespace

size_t QuestionBytes(const Question& question) {
  size_t bytes = 0;
  if (const auto* request = std::get_if<Request>(&question)) {
    bytes = request->output_schema.size();
    for (const Message& message : request->messages) bytes += message.content.size();
  } else {
    for (const std::string& text : std::get<EmbedRequest>(question).texts) bytes += text.size();
  }
  return bytes;
}

std::unique_ptr<Exchange> StartWhenUsed(const Question& question,
                                        std::function<std::unique_ptr<Exchange>(const Question&)> begin) {
  if (QuestionBytes(question) < kLongBytes) return begin(question);
  return std::make_unique<DeferredExchange>(question, std::move(begin));
}

}  // namespace millrace::backend
