#include "server/llm/embed.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "server/base/run_if_long.h"
#include "server/llm/key.h"

// GCC 12 takes the frames of coroutines for memory of another allocator (see server/llm/host.cc).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace millrace {
namespace {

constexpr int kTextsMax = 2048;
constexpr size_t kBytesMax = 4u << 20;
constexpr int32_t kDimensionsMax = 65'536;
// Bytes of the vectors of one response: 2,048 texts as 4,096 numbers each.
constexpr size_t kVectorBytesMax = 32u << 20;
constexpr size_t kAttemptsShown = 100;
constexpr size_t kLookUpTexts = 128;  // texts that are looked up at once: a few hundred KiB of vectors

// Returns the number of texts whose vectors of so many numbers fit into a response.
size_t TextsOfSize(size_t numbers) { return std::max<size_t>(1, kVectorBytesMax / sizeof(float) / numbers); }

std::optional<FieldViolation> FindWrongField(const v1::EmbedRequest& request) {
  if (request.model().empty()) return FieldViolation{"model", "the alias of a model is needed"};
  if (request.texts().empty()) return FieldViolation{"texts", "at least one text is needed"};
  if (request.texts_size() > kTextsMax) return FieldViolation{"texts", "at most 2,048"};
  size_t bytes = 0;
  for (int i = 0; i < request.texts_size(); ++i) {
    if (request.texts(i).empty()) return FieldViolation{fmt::format("texts[{}]", i), "it is empty"};
    bytes += request.texts(i).size();
  }
  if (bytes > kBytesMax) return FieldViolation{"texts", "at most 4 MiB together"};
  if (request.has_dimensions() && (request.dimensions() < 1 || request.dimensions() > kDimensionsMax)) {
    return FieldViolation{"dimensions", "1 to 65,536"};
  }
  if (request.has_dimensions()) {
    const size_t texts_max = TextsOfSize(static_cast<size_t>(request.dimensions()));
    if (static_cast<size_t>(request.texts_size()) > texts_max) {
      return FieldViolation{"texts", fmt::format("at most {} with `dimensions` {}: their vectors are 32 MiB together",
                                                 texts_max, request.dimensions())};
    }
  }
  return std::nullopt;
}

// Returns the keys of texts, for the pool.
std::vector<Digest> KeysOf(const std::vector<std::string>& texts, const std::string& identity,
                           const std::optional<int32_t>& dimensions) {
  std::vector<Digest> keys;
  keys.reserve(texts.size());
  for (const std::string& text : texts) keys.push_back(CallKey(identity, CanonicalText(text, dimensions), 0));
  return keys;
}

size_t BytesIn(const std::vector<std::string>& texts) {
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  return bytes;
}

// Estimates tokens for a limit that must not be exceeded: two bytes or more make one, in code and most languages.
int64_t TokensAtMost(const std::string& text) { return static_cast<int64_t>(text.size() / 2) + 1; }

bool IsStopped(const CallContext& context) { return context.stop && context.stop->stopped(); }

// Returns the texts, as the client gave them, with their vectors: for the pool.
StatusOr<v1::EmbedResponse> ResponseOf(const std::string& alias, const std::vector<std::vector<float>>& vectors,
                                       const std::vector<bool>& is_paid, const std::vector<size_t>& places) {
  const size_t size = vectors.front().size();
  v1::EmbedResponse response;
  for (const size_t place : places) {
    const std::vector<float>& vector = vectors[place];
    if (vector.size() != size) {
      return MakeError(
          Reason::kBadResponse,
          fmt::format("model `{}` gave vectors of {} and of {} numbers at different times: evict the older "
                      "ones (`millrace cache evict`) or configure a `revision`",
                      Excerpt(alias), size, vector.size()));
    }
    v1::Embedding& embedding = *response.add_embeddings();
    embedding.mutable_vector()->Add(vector.begin(), vector.end());
    embedding.set_cache_hit(!is_paid[place]);
  }
  return response;
}

}  // namespace

// One request.
struct Embeddings::Asked {
  CallContext context;
  std::string alias;
  std::optional<int32_t> dimensions;
  EmbedPlan plan;
  // Each text once, and what is known of it.
  std::vector<std::string> texts;
  std::vector<Digest> keys;
  std::map<Digest, size_t> place_of;        // by key
  std::vector<std::vector<float>> vectors;  // empty: not known yet
  std::vector<bool> is_paid;                // by this request
  std::vector<size_t> places;               // of the texts as the client gave them
  Hold* hold = nullptr;                     // on the texts that are asked for now
  // Ends the calls: the client has gone, or a batch has failed.
  std::shared_ptr<StopSignal> stop;
  Status failure;  // of the first batch that failed, or of vectors that are too large together
  int64_t input_tokens = 0;
  std::optional<int64_t> cost_nano_usd = 0;
  std::vector<v1::Attempt> attempts;
};

struct Embeddings::Batch {
  TextBatch texts;
  bool is_taken_over = false;  // of an earlier attempt, which paid for it
};

// Keeps texts for one request, until each is cached or the request ends.
class Embeddings::Hold {
 public:
  Hold(Embeddings& owner, const std::vector<Digest>& keys, const std::vector<size_t>& places) : owner_(owner) {
    for (const size_t place : places) keys_.insert(keys[place]);
    owner_.held_.insert(keys_.begin(), keys_.end());
  }
  Hold(const Hold&) = delete;
  ~Hold() {
    for (const Digest& key : keys_) owner_.held_.erase(key);
    owner_.released_.NotifyAll();
  }
  void Release(const Digest& key) {
    if (keys_.erase(key) == 0) return;
    owner_.held_.erase(key);
    owner_.released_.NotifyAll();
  }

 private:
  Embeddings& owner_;
  std::set<Digest> keys_;
};

Task<StatusOr<v1::EmbedResponse>> Embeddings::Embed(CallContext context, v1::EmbedRequest request) {
  if (const std::optional<FieldViolation> wrong = FindWrongField(request)) {
    co_return MakeFieldError(Reason::kInvalidField, wrong->field + ": " + wrong->description, {*wrong});
  }
  Asked asked;
  asked.context = std::move(context);
  asked.alias = request.model();
  if (request.has_dimensions()) asked.dimensions = request.dimensions();
  CallContext learning = asked.context;
  StatusOr<EmbedPlan> plan = co_await deps_.models.PlanEmbedding(asked.alias, std::move(learning));
  MR_CO_RETURN_IF_ERROR(plan.status());
  asked.plan = *std::move(plan);
  asked.context.models = asked.plan.models;
  std::vector<std::string> given(std::make_move_iterator(request.mutable_texts()->begin()),
                                 std::make_move_iterator(request.mutable_texts()->end()));
  const size_t bytes = BytesIn(given);
  std::map<std::string_view, size_t> first_places;
  for (const std::string& text : given) {
    const auto [known, is_new] = first_places.try_emplace(text, asked.texts.size());
    if (is_new) asked.texts.push_back(text);
    asked.places.push_back(known->second);
  }
  auto make_keys = [texts = asked.texts, identity = asked.plan.identity, dimensions = asked.dimensions] {
    return KeysOf(texts, identity, dimensions);
  };
  asked.keys = co_await RunIfLong(deps_.loop, deps_.pool, bytes, std::move(make_keys));
  for (size_t i = 0; i < asked.keys.size(); ++i) asked.place_of[asked.keys[i]] = i;
  asked.vectors.resize(asked.texts.size());
  asked.is_paid.resize(asked.texts.size());
  asked.stop = std::make_shared<StopSignal>(deps_.loop);
  std::optional<StopSignal::Watch> watch;
  const std::shared_ptr<StopSignal> client = asked.context.stop;
  if (client) {
    watch.emplace(*client, [this, &asked] {
      asked.stop->Stop();
      released_.NotifyAll();
    });
  }
  MR_CO_RETURN_IF_ERROR(co_await Answer(asked));
  const size_t vector_bytes = asked.places.size() * asked.vectors.front().size() * sizeof(float);
  auto respond = [alias = asked.alias, vectors = std::move(asked.vectors), is_paid = std::move(asked.is_paid),
                  places = std::move(asked.places)] { return ResponseOf(alias, vectors, is_paid, places); };
  StatusOr<v1::EmbedResponse> responded = co_await RunIfLong(deps_.loop, deps_.pool, vector_bytes, std::move(respond));
  MR_CO_RETURN_IF_ERROR(responded.status());
  v1::EmbedResponse response = *std::move(responded);
  response.set_model(asked.plan.model);
  response.set_input_tokens(asked.input_tokens);
  if (asked.cost_nano_usd) response.set_cost_nano_usd(*asked.cost_nano_usd);
  for (v1::Attempt& attempt : asked.attempts) *response.add_attempts() = std::move(attempt);
  co_return response;
}

Task<Status> Embeddings::Answer(Asked& asked) {
  while (true) {
    std::vector<size_t> free;
    bool must_wait = false;
    for (size_t i = 0; i < asked.texts.size(); ++i) {
      if (!asked.vectors[i].empty()) continue;
      const bool is_held = held_.contains(asked.keys[i]);
      if (!is_held) free.push_back(i);
      must_wait = must_wait || is_held;
    }
    if (free.empty() && !must_wait) co_return absl::OkStatus();
    if (IsStopped(asked.context)) co_return MakeError(Reason::kCancelled, "the client left");
    if (free.empty()) {
      if (const bool woken = co_await released_.WaitUntil(asked.context.deadline); !woken) {
        co_return MakeError(Reason::kDeadline, "no answer within the time limit");
      }
      continue;
    }
    Hold hold(*this, asked.keys, free);
    asked.hold = &hold;
    MR_CO_RETURN_IF_ERROR(co_await AskFor(asked, std::move(free)));
  }
}

Task<Status> Embeddings::AskFor(Asked& asked, std::vector<size_t> places) {
  std::set<Digest> left_behind;
  std::vector<size_t> missing = co_await LookUp(asked, std::move(places), &left_behind);
  MR_CO_RETURN_IF_ERROR(asked.failure);
  if (!left_behind.empty()) {
    MR_CO_RETURN_IF_ERROR(co_await TakeOver(asked, left_behind));
    std::erase_if(missing, [&asked](size_t place) { return !asked.vectors[place].empty(); });
    // Some attempts may have been settled between these two look-ups.
    missing = co_await LookUp(asked, std::move(missing), nullptr);
  }
  MR_CO_RETURN_IF_ERROR(asked.failure);
  std::vector<Batch> batches;
  int64_t tokens = 0;
  for (const size_t place : missing) {
    const int64_t more = TokensAtMost(asked.texts[place]);
    const bool is_full = batches.empty() || batches.back().texts.keys.size() >= asked.plan.texts_max ||
                         (asked.plan.tokens_max > 0 && tokens + more > asked.plan.tokens_max);
    if (is_full) {
      batches.emplace_back().texts.request.dimensions = asked.dimensions;
      tokens = 0;
    }
    tokens += more;
    batches.back().texts.request.texts.push_back(asked.texts[place]);
    batches.back().texts.keys.push_back(asked.keys[place]);
  }
  co_return co_await AskAll(asked, std::move(batches));
}

// Fails the request if its texts have too many numbers together. A model's size is known by its first vector.
void Embeddings::CheckSize(Asked& asked, size_t numbers) {
  const size_t texts_max = TextsOfSize(numbers);
  if (!asked.failure.ok() || asked.places.size() <= texts_max) return;
  const std::string advice = fmt::format("model `{}` makes vectors of {} numbers: ask for at most {} texts at once",
                                         Excerpt(asked.alias), numbers, texts_max);
  asked.failure = MakeFieldError(Reason::kInvalidField, "texts: " + advice, {{"texts", advice}});
}

// Returns the texts that are not cached. `left_behind` gets the keys of attempts that have some of these.
Task<std::vector<size_t>> Embeddings::LookUp(Asked& asked, std::vector<size_t> places, std::set<Digest>* left_behind) {
  std::vector<size_t> missing;
  for (size_t begin = 0; begin < places.size() && asked.failure.ok(); begin += kLookUpTexts) {
    const size_t end = std::min(places.size(), begin + kLookUpTexts);
    std::vector<Digest> keys;
    for (size_t i = begin; i < end; ++i) keys.push_back(asked.keys[places[i]]);
    std::vector<FoundText> found = co_await deps_.answers.LookUpTexts(std::move(keys), asked.plan.ttl);
    for (size_t i = begin; i < end; ++i) {
      FoundText& text = found[i - begin];
      if (text.vector.empty()) {
        missing.push_back(places[i]);
        if (text.batch_key && left_behind != nullptr) left_behind->insert(*text.batch_key);
      } else {
        CheckSize(asked, text.vector.size());
        asked.vectors[places[i]] = std::move(text.vector);
        asked.hold->Release(asked.keys[places[i]]);
      }
    }
  }
  co_return missing;
}

// Asks for the batches of earlier attempts that are not settled: those that a crash left behind, or whose clients have
// left. The call layer takes their answers over, or asks again as the model's policy says.
Task<Status> Embeddings::TakeOver(Asked& asked, const std::set<Digest>& left_behind) {
  std::vector<Batch> batches;
  for (const Digest& batch_key : left_behind) {
    std::vector<std::string> texts = co_await deps_.answers.PendingTexts(batch_key);
    if (texts.empty()) continue;  // it is settled meanwhile
    const size_t bytes = BytesIn(texts);
    auto make_keys = [texts, identity = asked.plan.identity, dimensions = asked.dimensions] {
      return KeysOf(texts, identity, dimensions);
    };
    Batch batch;
    batch.is_taken_over = true;
    batch.texts.keys = co_await RunIfLong(deps_.loop, deps_.pool, bytes, std::move(make_keys));
    batch.texts.request.texts = std::move(texts);
    batch.texts.request.dimensions = asked.dimensions;
    batches.push_back(std::move(batch));
  }
  co_return co_await AskAll(asked, std::move(batches));
}

Task<Status> Embeddings::AskAll(Asked& asked, std::vector<Batch> batches) {
  TaskGroup group(deps_.loop);
  for (Batch& batch : batches) group.Spawn(AskOne(asked, std::move(batch)));
  co_await group.Join();
  co_return asked.failure;
}

Task<void> Embeddings::AskOne(Asked& asked, Batch batch) {
  CallContext context = asked.context;
  context.stop = asked.stop;
  CallRequest request;
  request.model_alias = asked.alias;
  const std::vector<Digest> keys = batch.texts.keys;
  request.texts = std::move(batch.texts);
  CallOutcome outcome = co_await deps_.calls.Handle(std::move(context), std::move(request));
  Status status = co_await Commit(deps_.store, std::move(outcome.settlement));
  if (status.ok()) status = outcome.status;
  if (status.ok() && !outcome.vectors.empty()) {
    CheckSize(asked, outcome.vectors.front().size());
    status = asked.failure;
  }
  if (status.ok() && outcome.stopped) status = MakeError(Reason::kCancelled, "the client left");
  asked.input_tokens += outcome.totals.input_tokens();
  for (v1::Attempt& attempt : outcome.attempts) {
    if (asked.attempts.size() < kAttemptsShown) asked.attempts.push_back(std::move(attempt));
  }
  if (!status.ok()) {
    if (asked.failure.ok()) asked.failure = std::move(status);
    asked.stop->Stop();
    co_return;
  }
  // A call that was joined costs its payer.
  if (!outcome.coalesced) {
    asked.cost_nano_usd = asked.cost_nano_usd && outcome.cost_nano_usd
                              ? std::optional<int64_t>(*asked.cost_nano_usd + *outcome.cost_nano_usd)
                              : std::nullopt;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    // The batch of an earlier attempt may have texts of others.
    const auto place = asked.place_of.find(keys[i]);
    if (place == asked.place_of.end()) continue;
    asked.vectors[place->second] = std::move(outcome.vectors[i]);
    asked.is_paid[place->second] = !outcome.coalesced && !batch.is_taken_over;
    asked.hold->Release(keys[i]);
  }
}

}  // namespace millrace

#pragma GCC diagnostic pop
