#include "server/llm/prober.h"

#include <utility>

namespace millrace {
namespace {

// Moments of an exchange that sends nothing billable.
class NoMoments final : public AttemptMoments {
 public:
  Task<bool> Started() override { co_return false; }
  void Ended() override {}
  Task<void> Answered(RawAnswer) override { co_return; }
  void Delta(std::string_view) override {}
};

}  // namespace

Task<std::shared_ptr<const Probed>> Prober::Ask(BackendEntry& entry, std::vector<std::string> models) {
  if (const auto found = in_flight_.find(&entry); found != in_flight_.end()) {
    const std::shared_ptr<Result> result = found->second;
    co_await result->Wait();
    co_return result->value();
  }
  const std::shared_ptr<backend::Probe> probe = entry.backend->StartProbe(std::move(models));
  if (probe == nullptr) co_return nullptr;
  const auto result = std::make_shared<Result>(loop_);
  in_flight_.emplace(&entry, result);
  AttemptOrder order{.entry = &entry,
                     .question = {},
                     .timeouts = {.connect = kTimeMax, .first_byte = kTimeMax, .idle = kTimeMax, .total = kTimeMax}};
  order.exchange = probe;
  NoMoments moments;
  const TimePoint begin = loop_.Now();
  AttemptResult sent = co_await sender_.Send(std::move(order), moments);
  auto probed = std::make_shared<Probed>();
  probed->took = loop_.Now() - begin;
  if (auto* failure = std::get_if<backend::Failure>(&sent)) {
    probed->failure = std::move(*failure);
  } else {
    probed->state = probe->TakeState();
  }
  in_flight_.erase(&entry);
  result->Set(std::move(probed));
  co_return result->value();
}

}  // namespace millrace
