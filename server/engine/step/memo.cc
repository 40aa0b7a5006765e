#include "server/engine/step/memo.h"

#include <utility>

#include "server/base/canonical_json.h"
#include "server/base/duration.h"
#include "server/base/json.h"
#include "server/config/canonical.h"
#include "server/stages/registry.h"
#include "server/storage/memos.h"

namespace millrace {

StatusOr<Digest> ItemDigest(std::string_view text) {
  MR_ASSIGN_OR_RETURN(const std::string canonical, CanonicalJson(text));
  return Digest::Of(canonical);
}

Status ItemListDigester::Add(const std::vector<InputItem>& items) {
  for (const InputItem& item : items) {
    MR_ASSIGN_OR_RETURN(const Digest digest, ItemDigest(*item.json));
    digester_.AddPart(item.id).Add(digest.bytes());
  }
  return absl::OkStatus();
}

MemoRules::MemoRules(const v1::Pipeline& pipeline, const v1::Stage& stage, int semantics_version,
                     std::string_view models, std::string run, bool refresh)
    : run_(std::move(run)), mode_(stage.cache().mode()) {
  if (mode_ == v1::CachePolicy::MODE_UNSPECIFIED) mode_ = v1::CachePolicy::MODE_USE;
  if (refresh && mode_ == v1::CachePolicy::MODE_USE) mode_ = v1::CachePolicy::MODE_REFRESH;
  if (stage.cache().has_ttl()) ttl_micros_ = ToDuration(stage.cache().ttl()).count() / 1000;
  base_ = Digester()
              .AddPart("millrace-memo-1")
              .AddPart(KindName(stage))
              .AddNumber(static_cast<uint64_t>(semantics_version))
              .AddPart(CanonicalStage(pipeline, stage))
              .AddPart(models)
              .Finish();
}

Digest MemoRules::KeyOf(std::string_view id, const Digest& input) const {
  return Digester().Add(base_.bytes()).AddPart(id).Add(input.bytes()).Finish();
}

std::string MemoRules::StoreKey(const Digest& key) const { return shared() ? MemoKey(key) : RunMemoKey(run_, key); }

bool MemoRules::Accepts(const storage::v1::MemoRecord& record, int64_t now_micros) const {
  if (record.run() == run_) return true;
  if (mode_ != v1::CachePolicy::MODE_USE) return false;
  // A clock that was set back makes a result younger, never older.
  return !ttl_micros_ || now_micros - record.time_micros() <= *ttl_micros_;
}

}  // namespace millrace
