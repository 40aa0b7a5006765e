#include "server/stages/cluster/cluster.h"

#include <memory>
#include <utility>

#include "server/stages/cluster/clustering.h"
#include "server/stages/stage_work.h"
#include "server/stages/stop_flag.h"

namespace millrace {
namespace {

constexpr size_t kResultsPerPage = 256;

class ClusterStage final : public BarrierStage {
 public:
  explicit ClusterStage(const v1::Cluster& cluster) : cluster_(cluster) {}

  // Work on the pool shares the ownership of the clustering, because a crash destroys this frame and not that work.
  Task<Status> Run(StageContext& context, ItemReader& reader, ItemWriter& writer) const override {
    const auto clustering = std::make_shared<Clustering>(cluster_);
    while (true) {
      MR_CO_ASSIGN_OR_RETURN(std::vector<InputItem> items, co_await reader.Next());
      if (items.empty()) break;
      auto add = [clustering, page = std::move(items)] { return clustering->Add(page); };
      MR_CO_RETURN_IF_ERROR(co_await Compute(context.loop, context.pool, std::move(add)));
    }
    writer.Note(clustering->oddities());
    const StopFlag stop(context.stop);
    auto group = [clustering, flag = stop.Share()] { return clustering->Group(*flag); };
    MR_CO_RETURN_IF_ERROR(co_await Compute(context.loop, context.pool, std::move(group)));
    for (size_t begin = 0; begin < clustering->size(); begin += kResultsPerPage) {
      auto page = [clustering, begin]() -> StatusOr<std::vector<StageItem>> { return Results(*clustering, begin); };
      MR_CO_ASSIGN_OR_RETURN(std::vector<StageItem> results,
                             co_await Compute(context.loop, context.pool, std::move(page)));
      MR_CO_RETURN_IF_ERROR(co_await writer.Put(std::move(results)));
    }
    co_return absl::OkStatus();
  }

  int64_t MemoryBytes(int64_t items, int64_t bytes) const override { return ClusterBytes(cluster_, items, bytes); }

 private:
  static std::vector<StageItem> Results(const Clustering& clustering, size_t begin) {
    std::vector<StageItem> results;
    for (size_t place = begin; place < clustering.size() && place < begin + kResultsPerPage; ++place) {
      results.push_back(clustering.Result(place));
    }
    return results;
  }

  v1::Cluster cluster_;
};

StatusOr<StageWork> Make(const StageDefinition& definition) {
  const v1::Cluster& cluster = definition.stage.cluster();
  std::vector<FieldViolation> wrong;
  if (!cluster.has_lexical()) wrong.push_back({"cluster.lexical", "expected a method"});
  if (cluster.has_lexical() && cluster.lexical().fields().empty()) {
    wrong.push_back({"cluster.lexical.fields", "expected at least one field to compare"});
  }
  if (cluster.passes().empty()) wrong.push_back({"cluster.passes", "expected at least one pass"});
  for (int i = 1; i < cluster.passes_size(); ++i) {
    if (cluster.passes(i).threshold() <= cluster.passes(i - 1).threshold()) continue;
    wrong.push_back({"cluster.passes[" + std::to_string(i) + "].threshold",
                     "expected at most that of the previous pass: passes go from strict to relaxed"});
  }
  if (cluster.time_field().empty() && (cluster.has_time_window() || cluster.has_half_life())) {
    wrong.push_back({"cluster.time_field", "expected a field, because time_window or half_life is set"});
  }
  if (!wrong.empty()) return MakeFieldError(Reason::kInvalidDefinition, "the cluster stage is not valid", wrong);
  return std::make_unique<ClusterStage>(cluster);
}

StageKind::Fields FieldsOf(const v1::Stage& stage) {
  FieldTree made;
  for (const char* name : {"id", "title", "size", "coherence"}) made.Member(name);
  for (const char* name : {"members", "terms"}) made.Member(name) = FieldTree::ListOf(FieldTree());
  if (!stage.cluster().time_field().empty()) {
    made.Member("first_time");
    made.Member("last_time");
  }
  for (const std::string& name : GroupFields(stage.cluster().keep()).names()) made.Member(name) = FieldTree::Any();
  return {.made = std::move(made), .fresh = true};
}

}  // namespace

StageKind ClusterKind() {
  StageKind kind;
  kind.name = "cluster";
  kind.shape = StageShape::kBarrier;
  kind.semantics_version = 3;
  kind.make = Make;
  kind.fields = FieldsOf;
  return kind;
}

}  // namespace millrace
