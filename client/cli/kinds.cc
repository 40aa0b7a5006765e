#include "client/cli/kinds.h"

namespace millrace::cli {
namespace {

const StageKind* Find(std::string_view kind) {
  static const StageRegistry kinds = BuiltinStages();
  return kinds.Find(kind);
}

}  // namespace

std::optional<StageShape> ShapeOfKind(std::string_view kind) {
  const StageKind* known = Find(kind);
  return known == nullptr ? std::nullopt : std::optional(known->shape);
}

bool MakesNewItems(std::string_view kind) {
  const StageKind* known = Find(kind);
  return known != nullptr && known->shape == StageShape::kBarrier && known->fields && known->fields({}).fresh;
}

}  // namespace millrace::cli
