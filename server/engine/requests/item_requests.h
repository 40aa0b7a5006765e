// Reads the items of runs for clients: in lists by ordinal, and in streams in the order of their commits.
#pragma once

#include "server/engine/requests/runs_api.h"
#include "server/engine/run/runs.h"

namespace millrace {

// Engine thread. All references must outlive it.
class ItemRequests {
 public:
  ItemRequests(const EngineDeps& deps, Runs& runs) : deps_(deps), runs_(runs) {}

  // A page of at most 2 MiB, except that it has at least one item.
  Task<StatusOr<v1::ListItemsResponse>> List(v1::ListItemsRequest request);
  // See RunsApi::NextItems.
  Task<StatusOr<RunsApi::ItemPage>> Next(RequestContext context, v1::StreamItemsRequest request);

 private:
  // The stage that a request reads.
  struct Stage {
    FoundRun run;
    int index = 0;
    std::string name;
    StageShape shape = StageShape::kPure;
  };

  // `stage` empty: the stage whose items are the result. NOT_FOUND (RUN_NOT_FOUND, STAGE_NOT_FOUND).
  Task<StatusOr<Stage>> Find(std::string run, std::string stage);
  Task<StatusOr<bool>> IsReadableNow(const Stage& stage);
  // Items of a stage that were committed after a position of the stream.
  Task<StatusOr<std::vector<v1::StreamItemsResponse>>> ReadCommits(std::string run, std::string stage, int64_t after,
                                                                   std::string query, bool structs);

  const EngineDeps& deps_;
  Runs& runs_;
};

}  // namespace millrace
