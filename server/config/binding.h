// Binding: parameters put into the fields of a pipeline.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "millrace/v1/run.pb.h"
#include "server/base/status.h"
#include "server/config/parameter_template.h"

namespace millrace {

class StageRegistry;

using ParameterValues = std::map<std::string, v1::ParameterValue>;

// A pipeline ready to run.
struct BoundPipeline {
  v1::Pipeline pipeline;       // without bindings; fields that have a default and were absent are set to it
  ParameterValues parameters;  // every parameter's value, typed, defaults included
};

// Puts parameters into a pipeline. REQUIRES: CheckPipeline has passed it. A bound text is read as if the YAML file had
// it; a template that is exactly one parameter keeps the parameter's type. Fetches in `client_inputs` read no file: a
// text parameter that is used only for the path of such a file need not be given, and is `-`.
// INVALID_ARGUMENT (INVALID_FIELD) with every unknown, missing or wrong value, as `parameters.NAME`, and every field
// that breaks a rule once it is bound.
StatusOr<BoundPipeline> BindParameters(const v1::Pipeline& pipeline, const StageRegistry& stages,
                                       const ParameterValues& values, const std::set<std::string>& client_inputs = {});
// Takes the values from the map of a request.
StatusOr<BoundPipeline> BindParameters(const v1::Pipeline& pipeline, const StageRegistry& stages,
                                       const google::protobuf::Map<std::string, v1::ParameterValue>& values,
                                       const std::set<std::string>& client_inputs = {});

// A binding with its template parsed.
struct ParsedBinding {
  const v1::Binding* binding = nullptr;
  StatusOr<std::vector<TemplatePiece>> pieces;
};

// The bindings of a pipeline, parsed once for all that is asked about them. The pipeline must outlive it.
class Bindings {
 public:
  explicit Bindings(const v1::Pipeline& pipeline);

  const std::vector<ParsedBinding>& parsed() const { return parsed_; }

  // Returns what is wrong with the parameters and bindings themselves, by path.
  std::vector<FieldViolation> Check() const;

  // Returns the pipeline with the defaults of its parameters put in, each where the defaults suffice for a field and
  // fit it; the other bindings stay. For checks of what a run without parameters would have.
  v1::Pipeline BindDefaults() const;

 private:
  const v1::Pipeline& pipeline_;
  std::vector<ParsedBinding> parsed_;
};

}  // namespace millrace
