// Memo keys. A result is memoized under a digest of the stage's kind and its version, the fields of its definition that
// affect results, the identities of the models that it calls, and the id and digest of the item. Pure stages and stages
// that call models memoize each item, barriers their whole list; fetches and sinks memoize nothing. Only OK and SKIPPED
// results are memoized, so a barrier's list with a failed or degraded item is not. docs/formats.md has the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/pipeline.pb.h"
#include "server/base/clock.h"
#include "server/base/digest.h"
#include "server/base/status.h"

namespace millrace {

struct InputItem;

// Returns the digest of an item: of its canonical JSON. INVALID_ARGUMENT if it is not JSON.
StatusOr<Digest> ItemDigest(std::string_view json);

// Digest of a list of items: of (id, digest of the item) in order. A part of the memo key of a barrier's result.
class ItemListDigester {
 public:
  // INVALID_ARGUMENT if an item is not JSON.
  Status Add(const std::vector<InputItem>& items);
  // Returns the digest of all items added so far. Call it once.
  Digest Finish() { return digester_.Finish(); }

 private:
  Digester digester_;
};

// Memo rules of one stage of one run. Immutable; any thread.
class MemoRules {
 public:
  // `models`: the identities of the models that the stage calls; empty: none.
  MemoRules(const v1::Pipeline& pipeline, const v1::Stage& stage, int semantics_version, std::string_view models,
            std::string run, bool refresh);

  // Returns the memo key of the result for one item, or for the list of all items (then `id` is empty and `input` is
  // the list's digest). The id is a part of the key because a stage gets it with the item.
  Digest KeyOf(std::string_view id, const Digest& input) const;

  // Returns the key in the store of the result with this memo key.
  std::string StoreKey(const Digest& key) const;
  // Returns true if later runs may reuse the results.
  bool shared() const { return mode_ != v1::CachePolicy::MODE_OFF; }

  // Returns true if a result may be reused: this run's own always, an earlier run's as the policy says.
  bool Accepts(const storage::v1::MemoRecord& record, int64_t now_micros) const;

 private:
  Digest base_;
  std::string run_;
  v1::CachePolicy::Mode mode_;
  std::optional<int64_t> ttl_micros_;
};

}  // namespace millrace
