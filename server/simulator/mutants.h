// Mutants: faulty parts that are put in at the seams at run time, each breaking one promise. The checker must catch
// every one of them; without that a green simulation would prove little.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "millrace/v1/server_config.pb.h"
#include "server/http/client.h"
#include "server/llm/call.h"
#include "server/storage/store.h"

namespace millrace::simulator {

// The part that is broken, and how.
enum class Mutant {
  kNone,
  kSkipCommit,       // every 7th commit is acknowledged and dropped
  kAckBeforeStore,   // commits are acknowledged before they are written
  kTearBatch,        // a batch is written in two commits
  kForgetAnswers,    // settled and pending answers are never found
  kDropStarted,      // attempts are not recorded before they are sent
  kStaleScan,        // a scan leaves out its last entry
  kDoubleSend,       // the transport sends every 5th request twice
  kMislabelUnknown,  // the transport says "not sent" although bytes were sent
  kTruncateAnswer,   // the transport takes a cut answer for a whole one
  kSwapAnswers,      // every 9th call gets the answer of the call before it
  kLoseItems,        // an item's row is overwritten by a delete in the same batch
  kLoseEvents,       // an event is not written
  kLosePark,         // the wake-up entry of a parked item is not written
  kDropSettlement,   // the settlement of every 5th call is not committed
  kIgnoreStop,       // calls ignore a pause or cancel
  kDoubleSlots,      // a target has twice its slots
  kForgetRate,       // requests per minute are not limited
  kFailBlocked,      // an item fails if a human must repair its targets
  kForgetVector,     // the last vector of a batch of texts is not remembered
  kSwapVectors,      // the texts of a batch get each other's vectors
  kWholeBatch,       // texts are not sent in batches
  kForgetTakenOver,  // attempts that another run settles are not counted in the run that made them
};

inline constexpr Mutant kMutants[] = {
    Mutant::kSkipCommit,     Mutant::kAckBeforeStore,  Mutant::kTearBatch,    Mutant::kForgetAnswers,
    Mutant::kDropStarted,    Mutant::kStaleScan,       Mutant::kDoubleSend,   Mutant::kMislabelUnknown,
    Mutant::kTruncateAnswer, Mutant::kSwapAnswers,     Mutant::kLoseItems,    Mutant::kLoseEvents,
    Mutant::kLosePark,       Mutant::kDropSettlement,  Mutant::kIgnoreStop,   Mutant::kDoubleSlots,
    Mutant::kForgetRate,     Mutant::kFailBlocked,     Mutant::kForgetVector, Mutant::kSwapVectors,
    Mutant::kWholeBatch,     Mutant::kForgetTakenOver,
};

// Returns a short name for output.
std::string_view NameOf(Mutant mutant);

// Return the mutant as a decorator of the real part, which must outlive it. A mutant of another part passes everything
// through.
std::unique_ptr<Store> WithMutant(Mutant mutant, Store& real, Loop& loop);
std::unique_ptr<HttpClient> WithMutant(Mutant mutant, HttpClient& real);
std::unique_ptr<CallHandler> WithMutant(Mutant mutant, CallHandler& real);
// Returns the configuration that a faulty server obeys. The checker knows the real one.
v1::ServerConfig WithMutant(Mutant mutant, v1::ServerConfig config);

}  // namespace millrace::simulator
