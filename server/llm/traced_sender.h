// An attempt as a span, by the conventions for generative AI. Its identity goes to the provider in the header
// `traceparent`.
#pragma once

#include "server/llm/host.h"

namespace millrace {

// Engine thread.
class TracedSender final : public AttemptSender {
 public:
  // `inner` must outlive it.
  explicit TracedSender(AttemptSender& inner) : inner_(inner) {}

  // An order without a trace costs nothing more.
  Task<AttemptResult> Send(AttemptOrder order, AttemptMoments& moments) override {
    if (!order.trace) return inner_.Send(std::move(order), moments);
    return SendTraced(std::move(order), moments);
  }

 private:
  Task<AttemptResult> SendTraced(AttemptOrder order, AttemptMoments& moments);

  AttemptSender& inner_;
};

}  // namespace millrace
