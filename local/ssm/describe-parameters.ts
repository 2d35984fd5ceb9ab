import type {
  DescribeParametersCommandInput,
  ParameterMetadata,
  ParameterStringFilter,
} from '@aws-sdk/client-ssm';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { pageOf } from './pages.ts';
import type { ParameterRecord, ParameterStore } from './store.ts';

/** What is known of the account's parameters, but their values. */
export function describeParameters(store: ParameterStore, input: DescribeParametersCommandInput) {
  const tests = (input.ParameterFilters ?? []).map(testOf);
  const matching = store.records.filter((one) => tests.every((test) => test(one)));
  // DescribeParameters, MaxResults: 1 to 50.
  const { items, ...more } = pageOf(matching, input, 50);
  const { accountId } = store.region.settings;
  return {
    Parameters: items.map(
      (one): ParameterMetadata => ({
        ARN: store.arn(one.name),
        DataType: one.dataType,
        ...(one.description === undefined ? {} : { Description: one.description }),
        LastModifiedDate: new Date(one.modified),
        LastModifiedUser: `arn:aws:iam::${accountId}:root`,
        Name: one.name,
        Policies: [],
        Tier: 'Standard',
        Type: one.type,
        Version: one.version,
      }),
    ),
    ...more,
  };
}

/** ParameterStringFilter: Equals (also when nobody says) and BeginsWith; Contains for names; OneLevel and Recursive for paths. */
function testOf({ Key: key = '', Option: option, Values: values = [] }: ParameterStringFilter) {
  if (key === 'Path') {
    return ({ name }: ParameterRecord) =>
      values.some((path) => {
        const prefix = path.endsWith('/') ? path : `${path}/`;
        return (
          name.startsWith(prefix) && (option === 'Recursive' || !name.slice(prefix.length).includes('/'))
        );
      });
  }
  const read = readerOf(key);
  const matches = (text: string, wanted: string) => {
    switch (option ?? 'Equals') {
      case 'Equals':
        return text === wanted;
      case 'BeginsWith':
        return text.startsWith(wanted);
      case 'Contains':
        return text.includes(wanted);
      default:
        throw new ServiceError('InvalidFilterOption', `The specified filter option isn't valid: ${option}`);
    }
  };
  return (one: ParameterRecord) => {
    const text = read(one);
    return text !== undefined && (values.length === 0 || values.some((wanted) => matches(text, wanted)));
  };
}

function readerOf(key: string): (one: ParameterRecord) => string | undefined {
  if (key.startsWith('tag:')) return ({ tags = {} }) => tags[key.slice('tag:'.length)];
  switch (key) {
    case 'Name':
      return ({ name }) => name;
    case 'Type':
      return ({ type }) => type;
    case 'DataType':
      return ({ dataType }) => dataType;
    case 'Tier':
      return () => 'Standard';
    default:
      throw unsupported(`the parameter filter ${key}`);
  }
}
