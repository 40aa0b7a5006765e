// The stored pipelines, and the way from a pipeline to stages that can run.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "millrace/v1/pipeline_service.pb.h"
#include "server/base/stop_signal.h"
#include "server/base/task.h"
#include "server/config/binding.h"
#include "server/engine/engine_deps.h"
#include "server/engine/run/run_loader.h"

namespace millrace {

// A pipeline that is ready to run: its parameters are bound and its stages are made.
struct PreparedPipeline {
  v1::AppliedPipeline applied;  // as stored or sent, without bound parameters
  ParameterValues parameters;   // every parameter's value, defaults included
  std::shared_ptr<const v1::Pipeline> definition;
  std::set<std::string, std::less<>> typed_files;  // values of parameters that may name any file; empty: none may
  MadeStages made;
};

// Engine thread. `deps` and `options` must outlive it.
class PipelineCatalog {
 public:
  PipelineCatalog(const EngineDeps& deps, const EngineOptions& options) : deps_(deps), options_(options) {}

  // Returns the newest version of a stored pipeline. NOT_FOUND (PIPELINE_NOT_FOUND).
  Task<StatusOr<v1::AppliedPipeline>> Find(std::string name);

  // Returns a definition checked, with its digest: `definition`, or if it is null the stored one called `name`. The
  // check runs on the pool, since a definition may hold 4 MiB of files. REQUIRES: `definition` lives until this
  // resumes. NOT_FOUND (PIPELINE_NOT_FOUND), INVALID_ARGUMENT (INVALID_DEFINITION).
  // Ends early, with CANCELLED, if `left` stops, which may be null.
  Task<StatusOr<v1::AppliedPipeline>> Resolve(std::string name, const v1::Pipeline* definition,
                                              std::shared_ptr<StopSignal> left);

  // Returns warnings about a definition, such as a prompt that asks the same about all items.
  Task<std::vector<std::string>> FindDoubts(std::shared_ptr<const v1::Pipeline> definition);

  // Resolves a definition, binds parameters and makes the stages. `client_inputs`: fetches whose items the client
  // sends. Errors as Resolve has them, INVALID_ARGUMENT (INVALID_FIELD: a parameter), and what the kinds of stages
  // refuse.
  Task<StatusOr<PreparedPipeline>> Prepare(std::string name, const v1::Pipeline* definition,
                                           google::protobuf::Map<std::string, v1::ParameterValue> parameters,
                                           std::set<std::string> client_inputs, std::shared_ptr<StopSignal> left);

 private:
  const EngineDeps& deps_;
  const EngineOptions& options_;
};

}  // namespace millrace
