#include "server/stages/registry.h"

#include <cstdlib>
#include <utility>

namespace millrace {

void StageRegistry::Add(StageKind kind) {
  // A model that is not named is not checked, and no part of memo keys: results of another model would be reused.
  if (kind.shape == StageShape::kCalling && !kind.models) std::abort();
  std::string name = kind.name;
  kinds_.insert_or_assign(std::move(name), std::move(kind));
}

const StageKind* StageRegistry::Find(std::string_view name) const {
  const auto found = kinds_.find(name);
  return found == kinds_.end() ? nullptr : &found->second;
}

const StageKind* StageRegistry::Of(const v1::Stage& stage) const { return Find(KindName(stage)); }

std::optional<StageShape> StageRegistry::ShapeOf(const v1::Stage& stage) const {
  const StageKind* kind = Of(stage);
  return kind == nullptr ? std::nullopt : std::optional(kind->shape);
}

std::vector<std::string> StageRegistry::ModelsOf(const v1::Stage& stage) const {
  const StageKind* kind = Of(stage);
  return kind != nullptr && kind->models ? kind->models(stage) : std::vector<std::string>();
}

std::vector<StageFile> StageRegistry::FilesReadBy(const v1::Stage& stage) const {
  const StageKind* kind = Of(stage);
  return kind != nullptr && kind->reads ? kind->reads(stage) : std::vector<StageFile>();
}

std::vector<StageFile> StageRegistry::FilesWrittenBy(const v1::Stage& stage) const {
  const StageKind* kind = Of(stage);
  return kind != nullptr && kind->writes ? kind->writes(stage) : std::vector<StageFile>();
}

std::string KindName(const v1::Stage& stage) {
  if (stage.kind_case() == v1::Stage::KIND_NOT_SET) return "";
  return v1::Stage::descriptor()->FindFieldByNumber(stage.kind_case())->name();
}

}  // namespace millrace
