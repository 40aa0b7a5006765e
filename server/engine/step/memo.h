// What a result is remembered by (DESIGN, idea 1): a digest of the stage's kind and its version, of the fields of its
// definition that affect results, and of the input. docs/formats.md has the exact bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/pipeline.pb.h"
#include "server/base/clock.h"
#include "server/base/digest.h"
#include "server/base/status.h"

namespace millrace {

// The digest of an item: of its canonical JSON. INVALID_ARGUMENT where it is no JSON.
StatusOr<Digest> ItemDigest(std::string_view json);

// How one stage of one run remembers. Immutable; any thread.
class MemoRules {
 public:
  // `models`: the identities of the models that the stage asks; empty: none.
  MemoRules(const v1::Pipeline& pipeline, const v1::Stage& stage, int semantics_version, std::string_view models,
            std::string run, bool refresh);

  // The key of the result for one item, or for the list of all (`input` then covers ids and digests in order).
  Digest KeyOf(std::string_view id, const Digest& input) const;

  // Where results are kept and looked up.
  std::string StoreKey(const Digest& key) const;
  // Later runs may reuse them.
  bool shared() const { return mode_ != v1::CachePolicy::MODE_OFF; }

  // A remembered result may be reused: this run's own always, an earlier run's as the policy says.
  bool Accepts(const storage::v1::MemoRecord& record, int64_t now_micros) const;

 private:
  Digest base_;
  std::string run_;
  v1::CachePolicy::Mode mode_;
  std::optional<int64_t> ttl_micros_;
};

}  // namespace millrace
