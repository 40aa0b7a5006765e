// Holds attempts back while the target's model is loaded or pulled.
#pragma once

#include <string>
#include <utility>

#include "server/llm/admission/admission.h"

namespace millrace {

class Preparation final : public Admission {
 public:
  // Calls that can go to other targets wait, or go there.
  enum class Others { kWait, kGoElsewhere };
  // Nothing begins until Release. `what` says why: `warm_up`, `pull (…)`.
  void Hold(std::string what, Others others) {
    what_ = std::move(what);
    others_ = others;
  }
  // Changes the text, if it holds.
  void Describe(std::string what) {
    if (holds()) what_ = std::move(what);
  }
  // From now on calls that can go to other targets go there.
  void SendElsewhere() { others_ = Others::kGoElsewhere; }
  void Release() { what_.clear(); }
  bool holds() const { return !what_.empty(); }
  bool sends_elsewhere() const { return holds() && others_ == Others::kGoElsewhere; }

  TimePoint NotBefore(const Estimate&, TimePoint now) const override { return holds() ? kNever : now; }
  void Began(const Admitted&) override {}
  void Freed(const Admitted&, TimePoint) override {}
  void Ended(const Admitted&, const AttemptEnd&, TimePoint) override {}
  std::string_view name() const override { return what_; }

 private:
  std::string what_;  // empty: nothing is held back
  Others others_ = Others::kWait;
};

}  // namespace millrace
