// Check that stages read only fields that their items can have: those that stages before make, and those of the
// sources.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"
#include "server/text/field_tree.h"

namespace millrace {

class StageRegistry;

// Fields seen at the beginning of a source.
struct SourceFields {
  FieldTree fields;
  std::string seen;  // the part that was read, for messages: `the header`, `the first 312 items`
};

// By the name of the fetch. Sources that are absent may have any field.
using SourcesSeen = std::map<std::string, SourceFields>;

// Returns the fields that are read and that no item can have, by path, each with the nearest field that exists. Says
// nothing about items whose fields are not known (without `sources`: the columns of a CSV file), nor about stages with
// unknown or cyclic needs, nor about fields that are bound.
std::vector<FieldViolation> FieldsReadUnmade(const v1::Pipeline& pipeline, const StageRegistry& stages,
                                             const SourcesSeen& sources = {});

}  // namespace millrace
