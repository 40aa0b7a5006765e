// Faulty parts, put in at run time at the seams, each breaking one promise: the checker must catch every one of them.
// Without this a green simulation proves little.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "server/http/client.h"
#include "server/llm/call.h"
#include "server/storage/store.h"

namespace millrace::simulator {

// What is broken.
enum class Mutant {
  kNone,
  kSkipCommit,       // every 7th commit is acknowledged and dropped
  kAckBeforeStore,   // commits are acknowledged before they are written
  kTearBatch,        // a batch is written in two commits
  kForgetAnswers,    // settled and pending answers are never found
  kDropStarted,      // attempts are not recorded before they are sent
  kStaleScan,        // a scan leaves out its last entry
  kDoubleSend,       // the transport sends every 5th request twice
  kMislabelUnknown,  // the transport says "not sent" where bytes were sent
  kTruncateAnswer,   // the transport takes a cut answer for a whole one
  kSwapAnswers,      // now and then a call gets the answer of the one before it
  kLoseItems,        // an item's row is overwritten by a delete in the same batch
  kLoseEvents,       // an event is not written
  kLosePark,         // a parked item is not entered among those that wake
  kDropSettlement,   // now and then what a call leaves to be committed is not
  kIgnoreStop,       // calls don't hear of a pause or cancel
};

inline constexpr Mutant kMutants[] = {
    Mutant::kSkipCommit,     Mutant::kAckBeforeStore, Mutant::kTearBatch,  Mutant::kForgetAnswers,
    Mutant::kDropStarted,    Mutant::kStaleScan,      Mutant::kDoubleSend, Mutant::kMislabelUnknown,
    Mutant::kTruncateAnswer, Mutant::kSwapAnswers,    Mutant::kLoseItems,  Mutant::kLoseEvents,
    Mutant::kLosePark,       Mutant::kDropSettlement, Mutant::kIgnoreStop,
};

std::string_view NameOf(Mutant mutant);

// The part with the mutant in it, in front of the real one, which must outlive it; a pass-through where the mutant is
// not of this part.
std::unique_ptr<Store> WithMutant(Mutant mutant, Store& real, Loop& loop);
std::unique_ptr<HttpClient> WithMutant(Mutant mutant, HttpClient& real);
std::unique_ptr<CallHandler> WithMutant(Mutant mutant, CallHandler& real);

}  // namespace millrace::simulator
