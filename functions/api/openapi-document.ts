import { openApiDocument } from '../../core/api/openapi.ts';
import type { RouteReply } from '../../core/api/routes.ts';

/** The document is the same until the next deployment. */
export const openApi = () => {
  const body = openApiDocument();
  return (): Promise<RouteReply<'openapi-document'>> => Promise.resolve({ status: 200, body });
};
