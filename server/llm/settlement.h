// Settlement of a call: the batch that its caller commits together with its own effects.
#pragma once

#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/base/task.h"
#include "server/storage/store.h"

namespace millrace {

// The effects of a call, and the claims of its keys (claims.h). A claim keeps everybody else from asking the same
// question until the effects can be found in the store: hold the claims until `batch` is committed or given up. They
// may be destroyed on any thread. A caller that never commits loses nothing: the pending records are still in the
// store, and the next asker takes the attempts over.
struct Settlement {
  using Claims = std::vector<std::shared_ptr<const void>>;

  WriteBatch batch;
  Claims claims;

  // Moves the claims to a caller that commits `batch` as a part of a larger one.
  void MoveClaimsTo(Claims& to) {
    to.insert(to.end(), std::make_move_iterator(claims.begin()), std::make_move_iterator(claims.end()));
    claims.clear();
  }
};

// Commits a settlement, if it has any effect, and then releases its claims, also after an error. Errors are those of
// Store::Commit: nobody knows then whether the batch is stored. The next asker finds either the settled answer or the
// pending record with its raw bytes, so that nothing is paid for twice.
Task<Status> Commit(Store& store, Settlement settlement, CommitMode mode = CommitMode::kDurable);

}  // namespace millrace
