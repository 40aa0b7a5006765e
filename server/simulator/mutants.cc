#include "server/simulator/mutants.h"

#include <algorithm>

#include "server/http/whole_body.h"
#include "server/storage/keys.h"

namespace millrace::simulator {
namespace {

bool IsOf(std::string_view key, Table table) { return key.size() > 1 && key[1] == static_cast<char>(table); }

class MutantStore final : public Store {
 public:
  MutantStore(Mutant mutant, Store& real, Loop& loop) : mutant_(mutant), real_(real), loop_(loop) {}

  Task<Status> Commit(WriteBatch batch, CommitMode mode) override {
    ++commits_;
    switch (mutant_) {
      case Mutant::kSkipCommit:
        if (commits_ % 7 == 0) co_return absl::OkStatus();
        break;
      case Mutant::kAckBeforeStore:
        loop_.Spawn(CommitLater(std::move(batch), mode));
        co_return absl::OkStatus();
      case Mutant::kTearBatch: {
        WriteBatch first;
        WriteBatch second;
        for (const WriteBatch::Change& change : batch.changes()) {
          Repeat(change, first.changes().size() < batch.changes().size() / 2 ? first : second);
        }
        MR_CO_RETURN_IF_ERROR(co_await real_.Commit(std::move(first), mode));
        co_await loop_.Sleep(std::chrono::milliseconds(20));
        co_return co_await real_.Commit(std::move(second), mode);
      }
      case Mutant::kDropStarted:
      case Mutant::kLoseItems:
      case Mutant::kLoseEvents:
      case Mutant::kLosePark:
      case Mutant::kForgetTakenOver:
        batch = Spoil(batch);
        break;
      case Mutant::kForgetVector:
        batch = WithoutLastVector(batch);
        break;
      default:
        break;
    }
    co_return co_await real_.Commit(std::move(batch), mode);
  }

  Task<StatusOr<std::optional<std::string>>> Get(std::string key) override {
    if (Forgotten(key)) co_return std::optional<std::string>();
    co_return co_await real_.Get(std::move(key));
  }

  Task<StatusOr<std::vector<std::optional<std::string>>>> MultiGet(std::vector<std::string> keys) override {
    const std::vector<std::string> asked = keys;
    StatusOr<std::vector<std::optional<std::string>>> values = co_await real_.MultiGet(std::move(keys));
    for (size_t i = 0; values.ok() && i < asked.size(); ++i) {
      if (Forgotten(asked[i])) (*values)[i] = std::nullopt;
    }
    co_return values;
  }

  Task<StatusOr<ScanPage>> Scan(std::string begin, std::string end, size_t entries_max, size_t bytes_max,
                                Direction direction) override {
    StatusOr<ScanPage> page = co_await real_.Scan(std::move(begin), std::move(end), entries_max, bytes_max, direction);
    if (mutant_ == Mutant::kStaleScan && page.ok() && page->entries.size() > 1 &&
        IsOf(page->entries.back().key, Table::kItem)) {
      page->entries.pop_back();
    }
    co_return page;
  }

  Task<StatusOr<Size>> EstimateSize(std::string begin, std::string end) override {
    co_return co_await real_.EstimateSize(std::move(begin), std::move(end));
  }
  StoreState state() const override { return real_.state(); }
  Task<void> WaitForChange(StoreState from) override { co_await real_.WaitForChange(from); }
  StoreFigures Figures() const override { return real_.Figures(); }

 private:
  static void Repeat(const WriteBatch::Change& change, WriteBatch& into) {
    switch (change.kind) {
      case WriteBatch::Kind::kPut:
        into.Put(change.key, change.value);
        break;
      case WriteBatch::Kind::kDelete:
        into.Delete(change.key);
        break;
      case WriteBatch::Kind::kDeleteRange:
        into.DeleteRange(change.key, change.value);
        break;
    }
  }

  WriteBatch Spoil(const WriteBatch& batch) {
    WriteBatch spoiled;
    for (const WriteBatch::Change& change : batch.changes()) {
      const bool put = change.kind == WriteBatch::Kind::kPut;
      if (mutant_ == Mutant::kDropStarted && put &&
          (IsOf(change.key, Table::kPending) || IsOf(change.key, Table::kSettled)) && ++spoiled_ % 3 == 0) {
        continue;
      }
      if (mutant_ == Mutant::kLosePark && put && IsOf(change.key, Table::kParked) && ++spoiled_ % 3 == 0) continue;
      if (mutant_ == Mutant::kForgetTakenOver && put && IsOf(change.key, Table::kRunAttempt)) continue;
      Repeat(change, spoiled);
      if (mutant_ == Mutant::kLoseItems && put && IsOf(change.key, Table::kItem) && ++spoiled_ % 11 == 0) {
        spoiled.Delete(change.key);
      }
      if (mutant_ == Mutant::kLoseEvents && put && IsOf(change.key, Table::kEvent) && ++spoiled_ % 3 == 0) {
        spoiled.Delete(change.key);
      }
    }
    return spoiled;
  }

  // A settlement with several answers is that of a batch of texts.
  static WriteBatch WithoutLastVector(const WriteBatch& batch) {
    const auto is_answer = [](const WriteBatch::Change& change) {
      return change.kind == WriteBatch::Kind::kPut && IsOf(change.key, Table::kAnswer);
    };
    int64_t left = std::count_if(batch.changes().begin(), batch.changes().end(), is_answer);
    const bool is_of_texts = left > 1;
    WriteBatch spoiled;
    for (const WriteBatch::Change& change : batch.changes()) {
      if (is_of_texts && is_answer(change) && --left == 0) continue;
      Repeat(change, spoiled);
    }
    return spoiled;
  }

  bool Forgotten(std::string_view key) const {
    return mutant_ == Mutant::kForgetAnswers &&
           (IsOf(key, Table::kAnswer) || IsOf(key, Table::kRunAnswer) || IsOf(key, Table::kPending) ||
            IsOf(key, Table::kMemo) || IsOf(key, Table::kRunMemo));
  }

  Task<void> CommitLater(WriteBatch batch, CommitMode mode) {
    co_await loop_.Sleep(std::chrono::milliseconds(100));
    [[maybe_unused]] const Status status = co_await real_.Commit(std::move(batch), mode);
  }

  const Mutant mutant_;
  Store& real_;
  Loop& loop_;
  int64_t commits_ = 0;
  int64_t spoiled_ = 0;
};

class MutantHttp final : public HttpClient {
 public:
  MutantHttp(Mutant mutant, HttpClient& real) : mutant_(mutant), real_(real) {}

  Task<HttpResult> Send(HttpRequest request, HttpLimits limits, HttpSink& sink) override {
    ++sends_;
    if (mutant_ == Mutant::kDoubleSend && sends_ % 5 == 0) {
      HttpRequest again = request;
      WholeBody ignored;
      [[maybe_unused]] const HttpResult first = co_await real_.Send(std::move(again), limits, ignored);
    }
    HttpResult result = co_await real_.Send(std::move(request), limits, sink);
    if (mutant_ == Mutant::kMislabelUnknown && result.outcome == HttpOutcome::kUnknown) {
      result.outcome = HttpOutcome::kNotSent;
    }
    if (mutant_ == Mutant::kTruncateAnswer && result.outcome == HttpOutcome::kPartial) {
      result.outcome = HttpOutcome::kAnswered;
    }
    co_return result;
  }

 private:
  const Mutant mutant_;
  HttpClient& real_;
  int64_t sends_ = 0;
};

class MutantCalls final : public CallHandler {
 public:
  MutantCalls(Mutant mutant, CallHandler& real) : mutant_(mutant), real_(real) {}

  Task<CallOutcome> Handle(CallContext context, CallRequest request) override {
    if (mutant_ == Mutant::kIgnoreStop) context.stop = nullptr;
    CallOutcome outcome = co_await real_.Handle(std::move(context), std::move(request));
    ++calls_;
    if (mutant_ == Mutant::kDropSettlement && calls_ % 5 == 0) outcome.settlement = Settlement();
    if (mutant_ == Mutant::kFailBlocked && !outcome.blockages.empty()) {
      outcome.stopped = false;
      outcome.blockages.clear();
    }
    if (mutant_ == Mutant::kSwapVectors) std::reverse(outcome.vectors.begin(), outcome.vectors.end());
    if (mutant_ == Mutant::kSwapAnswers && outcome.status.ok()) {
      if (calls_ % 9 == 0 && !before_.empty()) outcome.text = before_;
      before_ = outcome.text;
    }
    co_return outcome;
  }

 private:
  const Mutant mutant_;
  CallHandler& real_;
  int64_t calls_ = 0;
  std::string before_;
};

}  // namespace

std::string_view NameOf(Mutant mutant) {
  switch (mutant) {
    case Mutant::kNone:
      return "none";
    case Mutant::kSkipCommit:
      return "skip a commit";
    case Mutant::kAckBeforeStore:
      return "ack before store";
    case Mutant::kTearBatch:
      return "tear a batch";
    case Mutant::kForgetAnswers:
      return "forget answers";
    case Mutant::kDropStarted:
      return "send unrecorded";
    case Mutant::kStaleScan:
      return "stale scan";
    case Mutant::kDoubleSend:
      return "double dispatch";
    case Mutant::kMislabelUnknown:
      return "call unknown not sent";
    case Mutant::kTruncateAnswer:
      return "take a cut answer";
    case Mutant::kSwapAnswers:
      return "swap answers";
    case Mutant::kLoseItems:
      return "lose an item";
    case Mutant::kLoseEvents:
      return "lose an event";
    case Mutant::kLosePark:
      return "lose a parked item";
    case Mutant::kDropSettlement:
      return "drop a settlement";
    case Mutant::kIgnoreStop:
      return "ignore a stop";
    case Mutant::kDoubleSlots:
      return "count slots twice";
    case Mutant::kForgetRate:
      return "forget a rate";
    case Mutant::kFailBlocked:
      return "fail if blocked";
    case Mutant::kForgetVector:
      return "forget a vector";
    case Mutant::kSwapVectors:
      return "swap vectors";
    case Mutant::kWholeBatch:
      return "send texts at once";
    case Mutant::kForgetTakenOver:
      return "count no taken over";
  }
  return "unknown";
}

std::unique_ptr<Store> WithMutant(Mutant mutant, Store& real, Loop& loop) {
  return std::make_unique<MutantStore>(mutant, real, loop);
}

std::unique_ptr<HttpClient> WithMutant(Mutant mutant, HttpClient& real) {
  return std::make_unique<MutantHttp>(mutant, real);
}

std::unique_ptr<CallHandler> WithMutant(Mutant mutant, CallHandler& real) {
  return std::make_unique<MutantCalls>(mutant, real);
}

v1::ServerConfig WithMutant(Mutant mutant, v1::ServerConfig config) {
  for (v1::ModelConfig& model : *config.mutable_models()) {
    for (v1::TargetConfig& target : *model.mutable_targets()) {
      v1::TargetLimits& limits = *target.mutable_limits();
      if (mutant == Mutant::kForgetRate) limits.clear_rpm();
      if (mutant == Mutant::kWholeBatch) limits.clear_embed_texts();
      if (mutant == Mutant::kDoubleSlots && limits.max_concurrency().has_slots()) {
        limits.mutable_max_concurrency()->set_slots(2 * limits.max_concurrency().slots());
      }
    }
  }
  return config;
}

}  // namespace millrace::simulator
