// Texts of a client as vectors: Embed. Vectors are cached by text. The texts that are not are asked for in batches,
// each one call of the call layer, whose settlement has an answer for every text (vectors.h).
//
// Why a batch is a call, and not each text: slots, rates, attempts and their costs are of requests to a provider, and a
// batch is one such request. So nothing in the call layer needs to know that other texts are in it, and a batch is made
// of the texts of one client: a text that its provider refuses fails nobody else.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "millrace/v1/completion_service.pb.h"
#include "server/base/digest.h"
#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/llm/answer_memory.h"
#include "server/llm/call.h"
#include "server/llm/model_directory.h"
#include "server/storage/store.h"

namespace millrace {

// Engine thread only.
class Embeddings {
 public:
  // All outlive it.
  struct Deps {
    Loop& loop;
    Pool& pool;
    Store& store;
    CallHandler& calls;
    ModelDirectory& models;
    AnswerMemory& answers;
  };
  explicit Embeddings(Deps deps) : deps_(deps), released_(deps.loop) {}
  Embeddings(const Embeddings&) = delete;

  // Checks a request and answers it. `context` has no run, and its `stop` stops when the client has gone: attempts in
  // flight are then read to their ends, and whoever asks next finds their vectors. INVALID_ARGUMENT (INVALID_FIELD),
  // CANCELLED, the errors of ModelDirectory::PlanEmbedding and of calls.
  Task<StatusOr<v1::EmbedResponse>> Embed(CallContext context, v1::EmbedRequest request);

 private:
  struct Asked;
  struct Batch;
  class Hold;

  Task<Status> Answer(Asked& asked);
  Task<Status> AskFor(Asked& asked, std::vector<size_t> places);
  Task<std::vector<size_t>> LookUp(Asked& asked, std::vector<size_t> places, std::set<Digest>* left_behind);
  Task<Status> TakeOver(Asked& asked, const std::set<Digest>& left_behind);
  Task<Status> AskAll(Asked& asked, std::vector<Batch> batches);
  static void CheckSize(Asked& asked, size_t numbers);
  Task<void> AskOne(Asked& asked, Batch batch);

  const Deps deps_;
  // Texts that a request looks up or asks for now. Others that want them wait and then find them in the cache.
  std::set<Digest> held_;
  Event released_;
};

}  // namespace millrace
